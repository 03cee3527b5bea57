"""What the ONNX gate reads off the graph: ops, functions that never end, tensors that lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway import safety
from taxiway.errors import SafetyError
from taxiway.safety.onnx_graph import Operator, Tensor, contents
from taxiway.safety.onnx_model import findings
from taxiway.safety.protobuf import Malformed, opened

OPSET = helper.make_opsetid("", 18)
ONE = numpy_helper.from_array(np.ones(4, np.float32), "w")


def function(name: str, *calls: str) -> onnx.FunctionProto:
    nodes = [helper.make_node(call, ["a"], ["b"], domain="own") for call in calls]
    nodes = nodes or [helper.make_node("Identity", ["a"], ["b"])]
    return helper.make_function("own", name, ["a"], ["b"], nodes, [OPSET])


def model(
    nodes: Iterable[Any] = (),
    tensors: Iterable[TensorProto] = (),
    functions: Iterable[onnx.FunctionProto] = (),
    sparse: Iterable[onnx.SparseTensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes), "g", [], [], list(tensors), sparse_initializer=list(sparse)
    )
    return helper.make_model(graph, opset_imports=[OPSET], functions=list(functions))


def node(op: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, ["w"], ["y"], name="n", domain=domain, **attributes)


def tensor(dims: list[int], **fields: Any) -> TensorProto:
    return TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, **fields)


def within(op: str) -> onnx.NodeProto:
    """An op in a branch of a branch."""
    inner = helper.make_graph([node(op)], "inner", [], [])
    middle = node("If", then_branch=inner, else_branch=inner)
    outer = helper.make_graph([middle], "outer", [], [])
    return node("If", then_branch=outer, else_branch=outer)


def sparse(dims: list[int]) -> onnx.SparseTensorProto:
    indices = TensorProto(data_type=TensorProto.INT64, dims=[1], int64_data=[0])
    values = tensor([1], float_data=[1])
    return onnx.SparseTensorProto(values=values, indices=indices, dims=dims)


DOUBLING = [function(f"F{at}", *[f"F{at + 1}"] * 10) for at in range(8)] + [function("F8")]
REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "unknown-op": (model([node("Shell")]), "op Shell (node 'n') is none of domain 'ai.onnx'"),
    "unknown-microsoft": (
        model([node("Shell", "com.microsoft")]),
        "none of domain 'com.microsoft'",
    ),
    "ep-context": (model([node("EPContext", "com.microsoft")]), "made for one accelerator"),
    "foreign-domain": (model([node("Run", "evil")]), "op Run of domain 'evil' needs a foreign"),
    "aten": (model([node("ATen", "org.pytorch.aten")]), "needs a foreign library"),
    "deep-in-a-branch": (model([within("Shell")]), "op Shell"),
    "in-a-function": (
        model(
            functions=[
                helper.make_function("own", "F", [], [], [node("Shell")], [OPSET]),
            ]
        ),
        "op Shell",
    ),
    "calls-itself": (
        model([node("F", "own")], functions=[function("F", "F")]),
        "function F calls F, and so never ends",
    ),
    "calls-in-a-circle": (
        model([node("F", "own")], functions=[function("F", "G"), function("G", "F")]),
        "and so never ends",
    ),
    "billion-laughs": (
        model([node("F0", "own")], functions=DOUBLING),
        "its functions expand to 211111111 nodes",
    ),
    "lying-dims": (
        model(tensors=[tensor([2**20, 2**10], raw_data=b"1234")]),
        "tensor 'w' claims 1073741824 elements and stores at most 1",
    ),
    "absurd-dims": (model(tensors=[tensor([2**40])]), "claims 1099511627776 elements, more than"),
    "negative-dims": (model(tensors=[tensor([-1])]), "has the shape [-1]"),
    "axes": (model(tensors=[tensor([1] * 65, float_data=[1])]), "more than 64 axes"),
    "sparse-bomb": (model(sparse=[sparse([2**20, 2**20])]), "claims 1099511627776 elements"),
}


@pytest.mark.parametrize(("proto", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path: Path, proto: onnx.ModelProto, said: str) -> None:
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(SafetyError) as caught:
        safety.check(tmp_path / "m.onnx", "onnx")
    assert said in caught.value.message


ACCEPTED: dict[str, onnx.ModelProto] = {
    "newest-op": model([node("Swish"), node("Gelu")]),
    "oldest-op": model([node("Upsample"), node("Scatter")]),
    "same-domain-by-name": model([node("Relu", "ai.onnx")]),
    "trees": model([node("TreeEnsembleRegressor", "ai.onnx.ml", nodes_values=[0.5] * 9, ints=[1, 2**40])]),
    "quantized": model([node("QLinearAdd", "com.microsoft")]),
    "own-function": model([node("F", "own")], functions=[function("F", "G"), function("G")]),
    "all-kinds-of-data": model(
        tensors=[
            tensor([2], float_data=[1, 2]),
            TensorProto(name="s", data_type=TensorProto.STRING, dims=[2], string_data=[b"a", b"b"]),
            TensorProto(name="h", data_type=TensorProto.FLOAT16, dims=[3], int32_data=[1, 2, 3]),
            TensorProto(name="i4", data_type=TensorProto.INT4, dims=[3], raw_data=b"12"),
            TensorProto(name="i4d", data_type=TensorProto.INT4, dims=[4], int32_data=[1, 2]),
            TensorProto(name="none", data_type=TensorProto.FLOAT, dims=[0, 4]),
            TensorProto(name="scalar", data_type=TensorProto.DOUBLE, double_data=[1.0]),
        ]
    ),
    "sparse": model(sparse=[sparse([8, 8])]),
}  # fmt: skip


@pytest.mark.parametrize("proto", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(tmp_path: Path, proto: onnx.ModelProto) -> None:
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    safety.check(tmp_path / "m.onnx", "onnx")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": "8"}, "claims 16 bytes at 8 of 'w.bin', which has 16"),
        ({"length": "4096"}, "claims 4096 bytes at 0"),
        ({"offset": "-1"}, "has offset and length"),
        ({"offset": "9" * 30}, "has offset and length"),
    ],
    ids=["offset", "length", "negative", "long"],
)
def test_external_data_that_is_not_there(tmp_path: Path, entries: Any, said: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    weight = tensor([4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "w.bin", **entries}.items():
        weight.external_data.add(key=key, value=value)
    (tmp_path / "m.onnx").write_bytes(model(tensors=[weight]).SerializeToString())
    with pytest.raises(SafetyError) as caught:
        safety.check(tmp_path / "m.onnx", "onnx")
    assert said in caught.value.message


def test_cases_of_the_onnx_library_pass() -> None:
    """Every model that the installed onnx ships for its own backend tests."""
    found = {file: findings(file) for file in Path(onnx.__file__).parent.rglob("*.onnx")}
    assert len(found) > 100
    assert {name: reasons for name, reasons in found.items() if reasons} == {}


def test_contents_agree_with_onnx(tmp_path: Path) -> None:
    proto = model([within("Relu"), node("Constant", value=ONE)], [tensor([4], raw_data=bytes(16))])
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with opened(tmp_path / "m.onnx") as data:
        parts = list(contents(data))
    ops = sorted(part.name for part in parts if isinstance(part, Operator))
    assert ops == ["Constant", "If", "If", "If", "Relu", "Relu", "Relu", "Relu"]
    tensors = {part.name: part for part in parts if isinstance(part, Tensor)}
    assert tensors["w"].dims == (4,) and tensors["w"].raw == 16


def test_nesting_ends(tmp_path: Path) -> None:
    """A thousand graphs within each other, written on the wire: protobuf itself would refuse them."""

    def wrap(number: int, data: bytes) -> bytes:
        length, out = len(data), b""
        while length > 127:
            out, length = out + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + out + bytes([length]) + data

    graph = b""
    for _ in range(1000):
        graph = wrap(1, wrap(5, wrap(6, graph)))
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09" + wrap(7, graph))
    with opened(tmp_path / "m.onnx") as data, pytest.raises(Malformed, match="nested too deeply"):
        list(contents(data))
