"""What the TFLite gate reads off the flatbuffer: offsets, operators, subgraphs and tensors."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from taxiway import safety
from taxiway.errors import SafetyError, WorkerError
from taxiway.execute.limits import StepLimits
from taxiway.execute.worker import Worker
from taxiway.safety.tflite_model import SAFE_CUSTOM

Edit = Callable[[Any], None]
BUILTIN = schema.BuiltinOperator


def code(number: int, custom: str = "") -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode = number, min(number, 127)
    made.version, made.customCode = 1, custom.encode() or None
    return made


def tensor(name: str, shape: list[int], buffer: int = 0) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.buffer = name, shape, buffer
    return made


def operator(inputs: list[int], outputs: list[int], options: Any = None) -> Any:
    made = schema.OperatorT()
    made.inputs, made.outputs = inputs, outputs
    if options is not None:
        kind = type(options).__name__.removesuffix("T")
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        made.builtinOptions = options
    return made


def graph(*operators: Any) -> Any:
    made = schema.SubGraphT()
    made.tensors = [tensor("x", [1, 4]), tensor("w", [1, 4], 1), tensor("y", [1, 4])]
    made.inputs, made.outputs, made.operators = [0], [2], list(operators)
    return made


def write(path: Path, edit: Edit = lambda model: None) -> Path:
    """y = x + w, changed by `edit`."""
    model, data = schema.ModelT(), schema.BufferT()
    data.data = [0] * 16
    model.version, model.buffers = 3, [schema.BufferT(), data]
    model.operatorCodes = [code(BUILTIN.ADD)]
    model.subgraphs = [graph(operator([0, 1], [2], schema.AddOptionsT()))]
    edit(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def set_code(number: int, custom: str = "") -> Edit:
    def edit(model: Any) -> None:
        model.operatorCodes = [code(number, custom)]

    return edit


def set_operator(**values: Any) -> Edit:
    def edit(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0].operators[0], name, value)

    return edit


def custom(name: str) -> Edit:
    """An operator of LiteRT's own custom ones, with an empty map as its options."""

    def edit(model: Any) -> None:
        set_code(BUILTIN.CUSTOM, name)(model)
        options = list(flexbuffers.Dumps({}))
        set_operator(customOptions=options, builtinOptions=None, builtinOptionsType=0)(model)

    return edit


def set_tensor(at: int, **values: Any) -> Edit:
    def edit(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0].tensors[at], name, value)

    return edit


def calls(*targets: int) -> Edit:
    """Subgraph n calls subgraph targets[n]."""

    def edit(model: Any) -> None:
        model.operatorCodes = [code(BUILTIN.WHILE)]
        model.subgraphs = []
        for target in targets:
            options = schema.WhileOptionsT()
            options.condSubgraphIndex, options.bodySubgraphIndex = len(targets), target
            model.subgraphs.append(graph(operator([0], [2], options)))
        model.subgraphs.append(graph())

    return edit


def external(model: Any) -> None:
    group = schema.ExternalBufferGroupT()
    group.name = "../../etc/passwd"
    model.externalBufferGroups = [group]


def far_buffer(model: Any) -> None:
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 4096, 16


def far_signature(model: Any) -> None:
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = "serve", 7
    model.signatureDefs = [made]


def outputs(model: Any) -> None:
    model.subgraphs[0].outputs = [99]


def no_subgraph(model: Any) -> None:
    model.subgraphs = []


REFUSED: dict[str, tuple[Edit, str]] = {
    "unknown-builtin": (set_code(9999), "builtin operator 9999 is none that LiteRT has"),
    "delegate": (set_code(BUILTIN.DELEGATE), "builtin operator 51"),
    "custom-call": (set_code(BUILTIN.STABLEHLO_CUSTOM_CALL), "is none that LiteRT has"),
    "custom": (set_code(BUILTIN.CUSTOM, "Mine"), "custom op Mine needs a library"),
    "custom-nameless": (set_code(BUILTIN.CUSTOM), "custom op without a name"),
    "custom-without-options": (
        set_code(BUILTIN.CUSTOM, "Mfcc"),
        "operator 0 (CUSTOM) of subgraph 'main' has no options for its kernel to read",
    ),
    "flex": (set_code(BUILTIN.CUSTOM, "FlexReadFile"), "op FlexReadFile needs TensorFlow"),
    "code-index": (set_operator(opcodeIndex=5), "has a code that is not in the file"),
    "input-index": (set_operator(inputs=[0, 77]), "operator 0 (ADD) of subgraph 'main' names a tensor"),
    "input-left-out": (set_operator(inputs=[0, -1]), "operator 0 (ADD) of subgraph 'main' names"),
    "output-index": (set_operator(outputs=[-7]), "names a tensor that is not there"),
    "graph-outputs": (outputs, "the outputs of subgraph 'main' name a tensor"),
    "no-subgraph": (no_subgraph, "it has no subgraph"),
    "subgraph-index": (calls(9), "calls a subgraph that is not in the file"),
    "recursion": (calls(0), "subgraph 0 calls itself (0 -> 0)"),
    "mutual-recursion": (calls(1, 0), "subgraph 0 calls itself (0 -> 1 -> 0)"),
    "tensor-lies": (set_tensor(1, shape=[2**20, 2**10]), "claims 4294967296 bytes and stores 16"),
    "tensor-of-terabytes": (set_tensor(0, shape=[2**30, 2**10]), "more than 68719476736"),
    "negative-shape": (set_tensor(0, shape=[-4]), "has the shape [-4]"),
    "buffer-index": (set_tensor(0, buffer=99), "is in no buffer of the file"),
    "type": (set_tensor(0, type=99), "has a type that LiteRT does not know"),
    "buffer-beyond-the-file": (far_buffer, "claims 16 bytes at 4096 of a file of"),
    "other-files": (external, "keeps weights in other files: '../../etc/passwd'"),
    "signature": (far_signature, "signature 'serve' is of no subgraph"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path: Path, edit: Edit, said: str) -> None:
    with pytest.raises(SafetyError) as caught:
        safety.check(write(tmp_path / "m.tflite", edit), "tflite")
    assert said in caught.value.message


ACCEPTED: dict[str, Edit] = {
    "plain": lambda model: None,
    "calls": calls(1, 2),
    "bias-left-out": lambda model: (
        set_code(BUILTIN.FULLY_CONNECTED)(model),
        set_operator(inputs=[0, 1, -1])(model),
    ),
    **{name: custom(name) for name in SAFE_CUSTOM},
}


@pytest.mark.parametrize("edit", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(tmp_path: Path, edit: Edit) -> None:
    safety.check(write(tmp_path / "m.tflite", edit), "tflite")


@pytest.mark.parametrize("name", SAFE_CUSTOM)
def test_litert_has_the_custom_ops_that_pass(tmp_path: Path, name: str) -> None:
    """An op that is not registered fails by name when tensors are allocated; these fail on inputs."""
    from ai_edge_litert.interpreter import Interpreter

    path = write(tmp_path / "m.tflite", custom(name))
    with pytest.raises((RuntimeError, ValueError)) as caught:
        Interpreter(model_path=str(path)).allocate_tensors()
    assert "unresolved custom op" not in str(caught.value)


def test_litert_says_which_custom_op_it_does_not_have(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = write(tmp_path / "m.tflite", custom("Mine"))
    with pytest.raises((RuntimeError, ValueError), match="unresolved custom op: Mine"):
        Interpreter(model_path=str(path)).allocate_tensors()


@pytest.mark.parametrize("word", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0, 1, 5])
def test_every_word_may_be_wrong(tmp_path: Path, word: int) -> None:
    """Each offset and length in turn: refused, or harmless, and never another error."""
    path = write(tmp_path / "m.tflite")
    data = path.read_bytes()
    for at in range(0, len(data) - 3, 4):
        path.write_bytes(data[:at] + struct.pack("<I", word) + data[at + 4 :])
        try:
            safety.check(path, "tflite")
        except SafetyError as error:
            assert "m.tflite" in error.message


def test_overlapping_tables_cost_no_more_than_the_file(tmp_path: Path) -> None:
    """One operator, listed a thousand times."""
    one = operator([0, 1], [2], schema.AddOptionsT())
    path = write(tmp_path / "m.tflite", lambda model: model.subgraphs.append(graph(one)))
    data = bytearray(path.read_bytes())
    list_at = next(
        at
        for at in range(0, len(data) - 8, 4)
        if struct.unpack_from("<I", data, at)[0] == 2  # Two subgraphs: make both offsets one.
        and _same_list(data, at)
    )
    first = struct.unpack_from("<I", data, list_at + 4)[0]
    struct.pack_into("<I", data, list_at + 8, first - 4)
    path.write_bytes(data)
    with pytest.raises(SafetyError, match="a list holds a table SubGraph twice"):
        safety.check(path, "tflite")


def _same_list(data: bytearray, at: int) -> bool:
    model = schema.Model.GetRootAsModel(data, 0)
    offset = model._tab.Offset(8)
    return bool(model._tab.Vector(offset) - 4 == at)


def test_a_model_that_crashes_the_runtime_is_the_failure_of_its_step(tmp_path: Path) -> None:
    """A kernel that reads options which are not there: the gate refuses it, so it comes past the gate."""
    path = write(tmp_path / "m.tflite", set_code(BUILTIN.CUSTOM, "AudioSpectrogram"))
    spec = {"name": "x", "dtype": "float32", "shape": [1, 4]}
    signature = {"inputs": [spec], "outputs": [spec]}
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 4), np.float32), y=np.zeros(4, np.int64))
    model = {"format": "tflite", "path": path.name, "signature": signature}
    task = {
        "name": "evaluate",
        "section": "evaluate",
        "plugin": "classification",
        "seed": 0,
        "takes": "tflite",
        "options": {"type": "classification"},
        "workdir": str(tmp_path),
        "model": {"model": model, "root": str(tmp_path)},
        "data": {
            "plugin": "npz",
            "options": {
                "type": "npz",
                "path": str(tmp_path / "d.npz"),
                "inputs": "x",
                "labels": "y",
            },
        },
    }
    limits = StepLimits(memory=8 * 2**30, seconds=60)
    with Worker(limits, tmp_path / "worker.log") as worker:
        with pytest.raises(WorkerError, match="evaluate: the worker died: SIGSEGV in native code"):
            worker.run("evaluate", task, lambda done, total, unit: None)
        assert worker.pid is None
