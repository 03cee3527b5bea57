"""Operators that stay in higher precision, in every ONNX pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from quantizable_graphs import SAMPLES, Graph, residual

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.runners import open_runner

FEW = {"calibration": {"samples": 40}}
PASSES: list[tuple[str, dict[str, Any]]] = [
    ("quantize_static", FEW),
    ("quantize_weights", {}),
    ("quantize_weights", {"bits": 4}),
    ("quantize_int16", FEW),
]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return residual(tmp_path / "m" / "m.onnx")


@pytest.fixture
def data(array_dataset: Any) -> Any:
    return array_dataset(**SAMPLES[residual])


def weight_type(result: Model, name: str) -> int:
    """Element type of the weight of the node called `name`, or of what makes it."""
    graph = onnx.load(result.path).graph
    held = {tensor.name: tensor.data_type for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    value = next(node for node in graph.node if node.name == name).input[1]
    while value not in held:
        value = makers[value].input[0]
    return int(held[value])


@pytest.mark.parametrize(("name", "options"), PASSES)
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"exclude": ["pointwise"]}, TensorProto.FLOAT),
        ({"keep": {"pointwise": "float32"}}, TensorProto.FLOAT),
        ({"keep": {"pointwise": "float16"}}, TensorProto.FLOAT16),
        ({"only": ["stem", "head"]}, TensorProto.FLOAT),
        ({"exclude": ["Conv"], "keep": {"point.*": "float16"}}, TensorProto.FLOAT16),
    ],
    ids=["exclude", "float32", "float16", "only", "keep before exclude"],
)
def test_a_kept_operator_has_its_weights_in_its_precision(
    name: str,
    options: dict[str, Any],
    choice: dict[str, Any],
    expected: int,
    model: Model,
    data: Any,
    optimize: Any,
) -> None:
    result = optimize(model, name, data, **options, **choice)
    assert weight_type(result, "pointwise") == expected
    small = (TensorProto.INT8, TensorProto.INT4)
    assert weight_type(result, "head") in small
    assert result.signature == model.signature


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_all_but_one_kept_is_nearer_than_none(
    kind: str, model: Model, data: Any, optimize: Any
) -> None:
    samples = SAMPLES[residual]
    expected = open_runner(model).predict(samples)["sum"]

    def error(result: Model) -> float:
        return float(np.abs(open_runner(result).predict(samples)["sum"] - expected).max())

    names = ["stem", "depthwise", "pointwise", "residual", "pool"]
    kept = optimize(model, "quantize_static", data, keep=dict.fromkeys(names, kind), **FEW)
    assert error(kept) < 0.2 * error(optimize(model, "quantize_static", data, **FEW))


def test_float16_leaves_a_kept_operator_alone(model: Model, data: Any, optimize: Any) -> None:
    whole = optimize(model, "float16", data)
    part = optimize(model, "float16", data, exclude=["pointwise", "residual"])
    assert weight_type(whole, "pointwise") == TensorProto.FLOAT16
    assert weight_type(part, "pointwise") == TensorProto.FLOAT
    assert weight_type(part, "stem") == TensorProto.FLOAT16


def test_float16_does_not_round_between_kept_operators(tmp_path: Path, optimize: Any) -> None:
    """100,000 is more than a float16 holds."""
    g = Graph()
    g.op("Mul", ["x", g.constant("up", np.full((4,), 1e5, np.float32))], "big", "up")
    g.op("Mul", ["big", g.constant("down", np.full((4,), 1e-5, np.float32))], "small", "down")
    g.op("MatMul", ["small", g.weight("w", 4, 4)], "y", "dense")
    model = g.save(tmp_path / "m" / "m.onnx", {"x": ["batch", 4]}, {"y": ["batch", 4]})
    x = {"x": np.ones((2, 4), np.float32)}
    expected = open_runner(model).predict(x)["y"]
    result = optimize(model, "float16", exclude=["Mul"])
    assert np.allclose(open_runner(result).predict(x)["y"], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "choice", "message"),
    [
        ("quantize_dynamic", {"only": ["Conv"]}, "quantizes no Conv, and 'Conv' means only stem"),
        ("quantize_dynamic", {"keep": {"pool": "float32"}}, "quantizes no GlobalAveragePool"),
        ("quantize_static", {"exclude": ["Relu"]}, "quantizes no Relu"),
        ("quantize_weights", {"only": ["residual"]}, "quantizes no Add"),
        ("quantize_static", {"only": ["nothing"]}, "no operator is called 'nothing'"),
        ("float16", {"keep": {"stam": "float32"}}, "no operator is called 'stam'"),
    ],
)
def test_a_pattern_must_mean_something_that_the_pass_changes(
    name: str, choice: dict[str, Any], message: str, model: Model, data: Any, optimize: Any
) -> None:
    with pytest.raises(StepError, match=message):
        optimize(model, name, data, **choice)


def test_an_operator_without_float16_cannot_be_kept_in_it(
    tmp_path: Path, optimize: Any, array_dataset: Any
) -> None:
    g = Graph()
    g.op("ArgMax", ["x"], "best", "argmax", axis=1)
    g.op("Cast", ["best"], "b", to=TensorProto.FLOAT)
    g.op("MatMul", ["x", g.weight("w", 4, 4)], "m", "dense")
    g.op("Add", ["m", "b"], "y", "sum")
    model = g.save(tmp_path / "m" / "m.onnx", {"x": ["batch", 4]}, {"y": ["batch", 4]})
    rows = array_dataset(x=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    with pytest.raises(StepError, match="'argmax' cannot be kept in float16"):
        optimize(model, "quantize_static", rows, keep={"argmax": "float16"}, **FEW)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("quantize_static", {"symmetric": True, "integers": "u8s8"}, "integers s8s8"),
        ("quantize_int16", {"calibration": {"method": "entropy"}}, "65,536"),
        ("quantize_int16", {"io_dtype": "int16"}, "tflite only"),
    ],
)
def test_options_that_cannot_work_are_refused_at_plan_time(
    name: str, options: dict[str, Any], message: str, model: Model, optimize: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        optimize(model, name, **options)


@pytest.mark.parametrize(
    ("integers", "expected"),
    [
        ("u8s8", (TensorProto.UINT8, TensorProto.INT8)),
        ("u8u8", (TensorProto.UINT8,) * 2),
        ("s8s8", (TensorProto.INT8,) * 2),
    ],
)
def test_integers_are_those_that_were_asked_for(
    integers: str, expected: tuple[int, int], model: Model, data: Any, optimize: Any
) -> None:
    result = optimize(model, "quantize_static", data, integers=integers, **FEW)
    graph = onnx.load(result.path).graph
    held = {tensor.name: tensor.data_type for tensor in graph.initializer}
    zeros = {held[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert (zeros, weight_type(result, "stem")) == ({expected[0]}, expected[1])


def test_symmetric_activations_have_zero_points_of_zero(
    model: Model, data: Any, optimize: Any
) -> None:
    graph = onnx.load(optimize(model, "quantize_static", data, symmetric=True, **FEW).path).graph
    held = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    zeros = [held[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert zeros and not any(zero.any() for zero in zeros)


def test_a_model_is_prepared_and_calibrated_once(model: Model, array_dataset: Any) -> None:
    import tempfile

    import msgspec

    from taxiway.plugins import Context, registry

    data = array_dataset(**SAMPLES[residual])
    plugin = registry().get("optimize", "quantize_static")
    step, options = plugin.implementation("onnx"), msgspec.convert(FEW, plugin.step.Config)
    choices: list[dict[str, Any]] = [{}, {"stem": "float32"}, {"head": "float16"}]
    for kept in choices:
        with tempfile.TemporaryDirectory() as folder:
            step.quantize(model, options, kept, Context(workdir=Path(folder), data=data))
    assert sum(rows for _, rows in data.reads) == 40
