"""Which operators a model file uses, read off the file itself: no runtime and no onnx package.

Cheap enough for `plan`, and safe on a hostile file: the time is linear in its size.
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from pathlib import Path

from taxiway.errors import StepError
from taxiway.safety.protobuf import BYTES, VARINT, Buffer, Malformed, fields, submessages, text

Operator = tuple[str, str]
"""(domain, name). ONNX: the domain of its operator set, empty for ONNX's own. TFLite: `builtin`,
`flex` (runs only with TensorFlow linked in) or `custom`."""

# Field numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTION = 7, 8, 25
_GRAPH_NODE, _FUNCTION_NODE = 1, 7
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_GRAPHS = (6, 11)
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10


def onnx_operators(path: Path) -> Counter[Operator]:
    """Operators of an ONNX file with the number of nodes, subgraphs included.

    A call of a function that the file defines is not counted, but the nodes of the function are,
    once, however often it is called. Raises StepError where the file is no ONNX model.
    """
    with _Mapped(path) as message:
        try:
            return _count(message)
        except Malformed as error:
            raise _unreadable(path, str(error)) from error


def onnx_opsets(path: Path) -> dict[str, int]:
    """The version of each operator set that an ONNX file imports, by domain.

    Raises StepError where the file is no ONNX model.
    """
    with _Mapped(path) as message:
        try:
            imports = [_opset(entry) for entry in submessages(message, _MODEL_OPSET)]
        except Malformed as error:
            raise _unreadable(path, str(error)) from error
    return dict(imports)


def tflite_operators(path: Path) -> Counter[Operator]:
    """Operators of a TFLite file with the number of calls, over all subgraphs.

    Raises StepError where the file is no TFLite model.
    """
    from ai_edge_litert import schema_py_generated as schema

    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise StepError(f"{path.name} is no TFLite model: it does not say TFL3")
    counts: Counter[Operator] = Counter()
    # Offsets may point to one place many times over; a call takes at least one of four bytes.
    left = len(data) // 4
    try:
        model = schema.Model.GetRootAsModel(data, 0)
        left -= model.OperatorCodesLength() + model.SubgraphsLength()
        if left < 0:
            raise ValueError("more operators than the file has room for")
        names = _builtin_names(schema)
        codes = [_code(model.OperatorCodes(at), names) for at in range(model.OperatorCodesLength())]
        for at in range(model.SubgraphsLength()):
            subgraph = model.Subgraphs(at)
            left -= subgraph.OperatorsLength()
            if left < 0:
                raise ValueError("more operators than the file has room for")
            for call in range(subgraph.OperatorsLength()):
                counts[codes[subgraph.Operators(call).OpcodeIndex()]] += 1
    except (struct.error, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StepError(f"{path.name} is no readable TFLite model: {error}") from error
    return counts


class _Mapped:
    """A file as a memory map, so that weights are not read; an empty file is an empty message."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap.mmap | None = None

    def __enter__(self) -> Buffer:
        with self._path.open("rb") as stream:
            if self._path.stat().st_size == 0:
                raise _unreadable(self._path, "it is empty")
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def __exit__(self, *_: object) -> None:
        # Closed by the garbage collector: a view in a traceback may still hold it.
        self._map = None


def _unreadable(path: Path, reason: str) -> StepError:
    return StepError(f"{path.name} is no readable ONNX model: {reason}")


def _opset(entry: Buffer) -> tuple[str, int]:
    domain, version = "", 0
    for field in fields(entry):
        if field.number == 1 and field.wire_type == BYTES:
            domain = _domain(text(field.data))
        elif field.number == 2 and field.wire_type == VARINT:
            version = field.value
    return domain, version


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _count(message: Buffer) -> Counter[Operator]:
    graphs = list(submessages(message, _MODEL_GRAPH))
    if not graphs:
        raise Malformed("it has no graph")
    own: set[Operator] = set()
    pending = [(graph, _GRAPH_NODE) for graph in graphs]
    for function in submessages(message, _MODEL_FUNCTION):
        own.add(_named(function, _FUNCTION_NAME, _FUNCTION_DOMAIN))
        pending.append((function, _FUNCTION_NODE))
    counts: Counter[Operator] = Counter()
    # A stack, for a file can nest its subgraphs deeper than Python may call.
    while pending:
        graph, number = pending.pop()
        for node in submessages(graph, number):
            operator = _named(node, _NODE_OP, _NODE_DOMAIN)
            if operator not in own:
                counts[operator] += 1
            for path in _ATTRIBUTE_GRAPHS:
                pending += [(g, _GRAPH_NODE) for g in submessages(node, _NODE_ATTRIBUTE, path)]
    return counts


def _named(message: Buffer, name_field: int, domain_field: int) -> Operator:
    found = {
        field.number: text(field.data)
        for field in fields(message)
        if field.wire_type == BYTES and field.number in (name_field, domain_field)
    }
    return _domain(found.get(domain_field, "")), found.get(name_field, "")


def _builtin_names(schema: object) -> dict[int, str]:
    kinds = vars(schema.BuiltinOperator)  # type: ignore[attr-defined]
    return {code: name for name, code in kinds.items() if isinstance(code, int)}


def _code(code: object, names: dict[int, str]) -> Operator:
    custom = code.CustomCode()  # type: ignore[attr-defined]
    if custom:
        name = bytes(custom).decode("utf-8", "replace")
        return ("flex" if name.startswith("Flex") else "custom"), name
    # Codes above 127 do not fit the old field (schema.fbs, OperatorCode).
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # type: ignore[attr-defined]
    return "builtin", names.get(number, f"number {number}")
