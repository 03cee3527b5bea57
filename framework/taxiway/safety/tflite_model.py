"""The gate of a TFLite file: its structure, its operators, and what it says of its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from taxiway.safety.allowlist import allowlist
from taxiway.safety.calls import cycle
from taxiway.safety.flatbuffer import Malformed, Table, mapped
from taxiway.safety.tflite_tensors import buffer_findings, stored_bytes, tensor_findings

CUSTOM = 32
SAFE_CUSTOM = ("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess")
"""Custom ops that LiteRT itself brings (tensorflow/lite/core/kernels/register.cc)."""
MAX_LISTED = 20


def opened(path: Path) -> AbstractContextManager[Table]:
    """The verified Model table of a mapped file; what is read of it is a view. Raises Malformed."""
    return mapped(path, b"TFL3", "Model", allowlist("tflite_schema"))


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each; the interpreter is not started."""
    try:
        with opened(path) as model:
            found = list(dict.fromkeys(_judge(model, path.stat().st_size)))
    except Malformed as error:
        return [f"it is no readable TFLite model: {error}"]
    if len(found) > MAX_LISTED:
        return [*found[:MAX_LISTED], f"and {len(found) - MAX_LISTED} more"]
    return found


def custom_ops(path: Path) -> list[str] | None:
    """Names of the custom ops that a TFLite file uses, sorted; None where it cannot be read."""
    try:
        with opened(path) as model:
            return sorted(
                {code.text("CustomCode") for code in model.tables("OperatorCodes")} - {""}
            )
    except Malformed:
        return None


def _judge(model: Table, size: int) -> Iterator[str]:
    codes = list(model.tables("OperatorCodes"))
    subgraphs = list(model.tables("Subgraphs"))
    if not subgraphs:
        yield "it has no subgraph"
    yield from _operators(codes)
    yield from buffer_findings(model, size)
    stored = stored_bytes(model)
    names = [_name(code) for code in codes]
    calls: dict[int, set[int]] = {}
    for at, subgraph in enumerate(subgraphs):
        yield from tensor_findings(subgraph, stored, names)
        calls[at] = set()
        for operator in subgraph.tables("Operators"):
            if not operator.number("OpcodeIndex") < len(codes):
                yield f"an operator of subgraph {at} has a code that is not in the file"
            called = set(_subgraphs_of(operator))
            calls[at] |= called
            if any(not 0 <= index < len(subgraphs) for index in called):
                yield f"an operator of subgraph {at} calls a subgraph that is not in the file"
    if loop := cycle(calls):
        yield f"subgraph {loop[0]} calls itself ({' -> '.join(map(str, loop))})"
    for signature in model.tables("SignatureDefs"):
        if not signature.number("SubgraphIndex") < len(subgraphs):
            yield f"signature '{signature.text('SignatureKey')}' is of no subgraph in the file"


def _number(code: Table) -> int:
    """The larger of a code's two fields (tensorflow/lite/schema/schema_utils.cc)."""
    return max(code.number("BuiltinCode"), code.number("DeprecatedBuiltinCode"))


def _name(code: Table) -> str:
    number = _number(code)
    known: dict[str, str] = allowlist("tflite_schema")["operators"]
    return "CUSTOM" if number == CUSTOM else known.get(str(number), "unknown")


def _operators(codes: list[Table]) -> Iterator[str]:
    names = set()
    for code in codes:
        name = _name(code)
        if name == "CUSTOM":
            names.add(code.text("CustomCode"))
        elif name == "unknown":
            yield f"builtin operator {_number(code)} is none that LiteRT has"
    for name in sorted(names - set(SAFE_CUSTOM)):
        if name.startswith("Flex"):
            yield f"op {name} needs TensorFlow (Select TF ops), which LiteRT does not have"
        else:
            yield f"custom op {name or 'without a name'} needs a library that LiteRT does not bring"


def _subgraphs_of(operator: Table) -> Iterator[int]:
    """The subgraphs that an operator's options name."""
    for field in ("BuiltinOptions", "BuiltinOptions2"):
        options = operator.table(field)
        if options is None:
            continue
        for name, (_, kind, _) in allowlist("tflite_schema")["tables"][options.kind].items():
            if "Subgraph" in name:
                yield from options.numbers(name) if kind == "numbers" else [options.number(name)]
