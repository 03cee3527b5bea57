"""Operators read off model files, and off damaged ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from taxiway.errors import StepError
from taxiway.model.operators import onnx_operators, onnx_opsets, tflite_operators

RECIPES = Path(__file__).parents[3] / "recipes"


def graph_of(*nodes: onnx.NodeProto, name: str = "g") -> onnx.GraphProto:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xy")
    return helper.make_graph(list(nodes), name, [x], [y])


def model_of(*nodes: onnx.NodeProto, functions: list[onnx.FunctionProto] | None = None) -> bytes:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 3)]
    model = helper.make_model(graph_of(*nodes), opset_imports=opsets, functions=functions or [])
    content: bytes = model.SerializeToString()
    return content


RELU = helper.make_node("Relu", ["x"], ["y"])
BRANCH = graph_of(RELU, helper.make_node("If", ["c"], ["z"], then_branch=graph_of(RELU)))
FUNCTION = helper.make_function(
    "own", "Twice", ["x"], ["y"], [RELU, RELU], [helper.make_opsetid("", 17)]
)
CASES = {
    "plain": (model_of(RELU, RELU), {("", "Relu"): 2}),
    "another domain": (
        model_of(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")),
        {("com.microsoft", "Gelu"): 1},
    ),
    "a long name for ONNX's own": (
        model_of(helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")),
        {("", "Relu"): 1},
    ),
    "branches in branches": (
        model_of(helper.make_node("If", ["c"], ["y"], then_branch=BRANCH, else_branch=BRANCH)),
        {("", "If"): 3, ("", "Relu"): 4},
    ),
    "a list of graphs": (
        model_of(helper.make_node("Case", ["x"], ["y"], branches=[BRANCH])),
        {("", "Case"): 1, ("", "If"): 1, ("", "Relu"): 2},
    ),
    "functions": (
        model_of(
            *(helper.make_node("Twice", ["x"], ["y"], domain="own") for _ in range(3)),
            functions=[FUNCTION],
        ),
        {("", "Relu"): 2},
    ),
}


@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES)
def test_nodes_are_counted(
    content: bytes, expected: dict[tuple[str, str], int], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert onnx_operators(path) == Counter(expected)
    assert onnx_opsets(path) == {"": 17, "own": 3}


def test_a_nesting_deeper_than_python_may_call(tmp_path: Path) -> None:
    """By hand, for the generated classes stop at 100 levels."""

    def field(number: int, payload: bytes) -> bytes:
        size, varint = len(payload), b""
        while size > 127:
            varint += bytes([size & 127 | 128])
            size >>= 7
        return bytes([number << 3 | 2]) + varint + bytes([size]) + payload

    graph = b""
    for _ in range(3000):
        graph = field(1, field(4, b"If") + field(5, field(6, graph)))
    (tmp_path / "deep.onnx").write_bytes(field(7, graph))
    assert onnx_operators(tmp_path / "deep.onnx") == Counter({("", "If"): 3000})


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 40, b"This is no model.", CASES["plain"][0][:-3]],
    ids=["empty", "noise", "text", "cut off"],
)
def test_another_file_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(StepError, match=r"x\.onnx is no readable ONNX model"):
        onnx_operators(tmp_path / "x.onnx")


@pytest.fixture(scope="module")
def tflite() -> bytes:
    """A file with one builtin, one custom and one Select-TF operator, made by hand."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    codes = []
    for builtin, custom in (
        (schema.BuiltinOperator.RELU, None),
        (schema.BuiltinOperator.CUSTOM, b"FlexErf"),
        (schema.BuiltinOperator.CUSTOM, b"TFLite_Detection_PostProcess"),
        (schema.BuiltinOperator.GELU, None),
    ):
        code = schema.OperatorCodeT()
        code.builtinCode, code.customCode = builtin, custom
        code.deprecatedBuiltinCode = min(builtin, 127)
        codes.append(code)
    graph = schema.SubGraphT()
    graph.operators = []
    for index in (0, 0, 1, 2, 3):
        call = schema.OperatorT()
        call.opcodeIndex = index
        graph.operators.append(call)
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, codes, [graph, graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_tflite_operators(tflite: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(tflite)
    assert tflite_operators(tmp_path / "m.tflite") == Counter(
        {
            ("builtin", "RELU"): 4,
            ("builtin", "GELU"): 2,
            ("flex", "FlexErf"): 2,
            ("custom", "TFLite_Detection_PostProcess"): 2,
        }
    )


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 10_000), value=st.binary(min_size=1, max_size=8), kind=st.sampled_from("ot")
)
def test_a_damaged_file_gives_counts_or_a_typed_error(
    at: int, value: bytes, kind: str, tflite: bytes, tmp_path: Path
) -> None:
    content = CASES["branches in branches"][0] if kind == "o" else tflite
    at %= len(content)
    path = tmp_path / "damaged"
    path.write_bytes(content[:at] + value + content[at + len(value) :])
    try:
        found = onnx_operators(path) if kind == "o" else tflite_operators(path)
    except StepError:
        return
    assert sum(found.values()) <= len(content)


def test_many_subgraphs_in_one_place_do_not_take_forever(tmp_path: Path) -> None:
    """Offsets of a hostile file may all point to one subgraph: 10**10 calls in 1 MB."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder, times = flatbuffers.Builder(1 << 20), 100_000

    def repeated(offset: int) -> int:
        builder.StartVector(4, times, 4)
        for _ in range(times):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    schema.OperatorCodeStart(builder)
    code = schema.OperatorCodeEnd(builder)
    schema.ModelStartOperatorCodesVector(builder, 1)
    builder.PrependUOffsetTRelative(code)
    codes = builder.EndVector()
    schema.OperatorStart(builder)
    calls = repeated(schema.OperatorEnd(builder))
    schema.SubGraphStart(builder)
    schema.SubGraphAddOperators(builder, calls)
    subgraphs = repeated(schema.SubGraphEnd(builder))
    schema.ModelStart(builder)
    schema.ModelAddOperatorCodes(builder, codes)
    schema.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    (tmp_path / "bomb.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(StepError, match="more operators than the file has room for"):
        tflite_operators(tmp_path / "bomb.tflite")
