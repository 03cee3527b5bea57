"""Every ONNX pass on graphs with branches, bodies, masks, shared constants and recurrence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from quantizable_graphs import SAMPLES, Graph, attention, branching, recurrent, residual, shared

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.runners import open_runner
from taxiway.plugins import registry

Array = np.ndarray[Any, Any]
FEW = {"calibration": {"samples": 40}}
PASSES: list[tuple[str, dict[str, Any], float]] = [
    ("quantize_static", FEW, 0.99),
    ("quantize_dynamic", {}, 0.99),
    ("quantize_weights", {}, 0.999),
    ("quantize_weights", {"bits": 4}, 0.96),
    ("quantize_weights", {"bits": 4, "block": 16, "symmetric": False}, 0.96),
    ("quantize_int16", FEW, 0.999),
    ("float16", {}, 0.9999),
]
"""Pass, options, the least cosine between its outputs and those of the float model."""
CASES = [
    pytest.param(build, *each, id=f"{build.__name__} {each[0]} {each[1] or ''}")
    for build in SAMPLES
    for each in PASSES
    if (build, each[0]) != (residual, "quantize_dynamic")
]


def cosines(a: Model, b: Model, samples: dict[str, Array]) -> dict[str, float]:
    first, second = (open_runner(model).predict(samples) for model in (a, b))
    return {
        name: float(
            x.ravel() @ second[name].ravel() / np.linalg.norm(x) / np.linalg.norm(second[name])
        )
        for name, x in first.items()
    }


def nodes(model: Model) -> dict[str, Any]:
    return {node.name: node for node in onnx.load(model.path).graph.node}


def types(model: Model) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(model.path).graph.node)


def names(model: Model, name: str) -> list[str]:
    plugin = registry().get("optimize", name)
    step = plugin.implementation("onnx")
    return [op.name for op in step.operators(model, plugin.step.Config())]


@pytest.mark.parametrize(("build", "name", "options", "least"), CASES)
def test_the_result_computes_the_same(
    build: Any,
    name: str,
    options: dict[str, Any],
    least: float,
    tmp_path: Path,
    optimize: Any,
    array_dataset: Any,
) -> None:
    model, samples = build(tmp_path / "m" / "m.onnx"), SAMPLES[build]
    result = optimize(model, name, array_dataset(**samples), **options)
    assert result.signature == model.signature
    assert min(cosines(model, result, samples).values()) > least


@pytest.mark.parametrize("name", ["quantize_static", "quantize_weights", "quantize_int16"])
def test_an_old_opset_is_raised(
    name: str, tmp_path: Path, optimize: Any, array_dataset: Any
) -> None:
    model = residual(tmp_path / "m" / "m.onnx", opset=11)
    options = {} if name == "quantize_weights" else FEW
    result = optimize(model, name, array_dataset(**SAMPLES[residual]), **options)
    assert onnx.load(result.path).opset_import[0].version >= 13
    assert min(cosines(model, result, SAMPLES[residual]).values()) > 0.99


def test_operators_have_names_of_their_own(tmp_path: Path) -> None:
    found = names(attention(tmp_path / "m.onnx"), "quantize_static")
    assert len(found) == len(set(found)) and all(found)
    assert {"Gather_0", "MatMul_1", "Softmax_10"} <= set(found)


def test_a_fused_operator_keeps_its_name(tmp_path: Path) -> None:
    assert names(residual(tmp_path / "m.onnx"), "quantize_static") == [
        "stem",
        "depthwise",
        "pointwise",
        "residual",
        "pool",
        "head",
    ]
    g = Graph()
    g.op("MatMul", ["x", g.weight("w", 4, 4)], "m", "fc")
    g.op("Add", ["m", g.weight("b", 4)], "y", "bias")
    model = g.save(tmp_path / "fused.onnx", {"x": ["batch", 4]}, {"y": ["batch", 4]})
    assert names(model, "quantize_static") == names(model, "quantize_dynamic") == ["fc"]


def test_operators_know_the_bytes_of_their_weights(tmp_path: Path) -> None:
    plugin = registry().get("optimize", "quantize_static")
    model = residual(tmp_path / "m.onnx")
    found = plugin.implementation("onnx").operators(model, plugin.step.Config())
    assert {op.name: op.weights for op in found}["pointwise"] == 4 * 8 * 8 * 9


def test_a_mask_stays_float_and_a_note_says_so(tmp_path: Path, array_dataset: Any) -> None:
    import msgspec

    from taxiway.plugins import Context

    model, notes = attention(tmp_path / "m.onnx"), []
    plugin = registry().get("optimize", "quantize_static")
    (tmp_path / "out").mkdir()
    context = Context(
        workdir=tmp_path / "out", data=array_dataset(**SAMPLES[attention]), note=notes.append
    )
    options = msgspec.convert(FEW, plugin.step.Config)
    result = plugin.implementation("onnx").run(model, options, context)
    assert [note.repair for note in notes] == ["masks kept in float32"]
    made = nodes(result)
    assert "masked" in made["Softmax_10"].input


def test_a_shared_weight_serves_a_kept_operator_in_float(
    tmp_path: Path, optimize: Any, array_dataset: Any
) -> None:
    model, samples = shared(tmp_path / "m" / "m.onnx"), SAMPLES[shared]
    whole, half = (
        optimize(model, "quantize_static", array_dataset(**samples), exclude=out, **FEW)
        for out in ([], ["first"])
    )
    assert cosines(model, half, samples)["y"] > cosines(model, whole, samples)["y"]
    held = {t.name: t.data_type for t in onnx.load(half.path).graph.initializer}
    assert held[nodes(half)["first"].input[1]] == onnx.TensorProto.FLOAT


def test_bodies_are_left_as_they_are(tmp_path: Path, optimize: Any, array_dataset: Any) -> None:
    model = branching(tmp_path / "m" / "m.onnx")
    result = optimize(model, "quantize_static", array_dataset(**SAMPLES[branching]), **FEW)
    before, after = (
        {a.name: [(n.op_type, *n.input) for n in a.g.node] for a in nodes(m)["branch"].attribute}
        for m in (model, result)
    )
    assert before == after


def test_a_model_with_all_in_bodies_says_so(tmp_path: Path, optimize: Any) -> None:
    g = Graph()
    g.weight("w", 8, 8)
    made = onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)
    inner = onnx.helper.make_node("MatMul", ["x", "w"], ["z"], "inner")
    body = onnx.helper.make_graph([inner], "body", [], [made])
    g.op("ReduceSum", ["x"], "total", keepdims=0)
    g.op("Greater", ["total", g.constant("none", np.float32(0))], "positive")
    g.op("If", ["positive"], "y", "branch", then_branch=body, else_branch=body)
    model = g.save(tmp_path / "m" / "m.onnx", {"x": ["batch", 8]}, {"y": ["batch", 8]})
    with pytest.raises(StepError, match="in bodies of If"):
        optimize(model, "quantize_dynamic")


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["NaN", "Inf"])
@pytest.mark.parametrize(("name", "options"), [each[:2] for each in PASSES])
def test_a_weight_that_is_not_finite_is_named(
    name: str,
    options: dict[str, Any],
    bad: float,
    tmp_path: Path,
    optimize: Any,
    array_dataset: Any,
) -> None:
    model = shared(tmp_path / "m" / "m.onnx")
    proto = onnx.load(model.path)
    values = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    values[3, 2] = bad
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    onnx.save(proto, model.path)
    with pytest.raises(StepError, match=r"'w'.* m.onnx holds (NaN|Inf): 1 of 256 .* \[3, 2\]"):
        optimize(model, name, array_dataset(**SAMPLES[shared]), **options)


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile", "distribution"])
def test_a_value_that_becomes_nan_is_named(
    method: str, tmp_path: Path, optimize: Any, array_dataset: Any
) -> None:
    g = Graph()
    g.op("Sqrt", ["x"], "root", "sqrt")
    g.op("MatMul", ["root", g.weight("w", 4, 4)], "y", "dense")
    g.op("MatMul", ["x", g.weight("v", 4, 4)], "z", "other")
    outputs = {"y": ["batch", 4], "z": ["batch", 4]}
    model = g.save(tmp_path / "m" / "m.onnx", {"x": ["batch", 4]}, outputs)
    rows = np.ones((40, 4), np.float32)
    rows[7, 2] = -1
    calibration = {"samples": 40, "method": method}
    with pytest.raises(
        StepError, match=r"'root' of 'dense' in m\.onnx became NaN or Inf"
    ) as caught:
        optimize(model, "quantize_static", array_dataset(x=rows), calibration=calibration)
    assert "exclude: ['dense']" in (caught.value.hint or "")
    left = {"calibration": calibration, "exclude": ["dense"]}
    assert optimize(model, "quantize_static", array_dataset(x=rows), **left)


def test_samples_of_another_shape_are_an_error_with_both(
    tmp_path: Path, optimize: Any, array_dataset: Any
) -> None:
    model = residual(tmp_path / "m" / "m.onnx")
    rows = np.ones((40, 3, 8, 9), np.float32)
    with pytest.raises(StepError, match=r"shape \[32, 3, 8, 9\].*float32\[batch, 3, 8, 8\]"):
        optimize(model, "quantize_static", array_dataset(image=rows), **FEW)


def test_recurrent_weights_become_integers(
    tmp_path: Path, optimize: Any, array_dataset: Any
) -> None:
    model = recurrent(tmp_path / "m" / "m.onnx")
    assert types(optimize(model, "quantize_dynamic"))["DynamicQuantizeLSTM"] == 1
    smaller = optimize(model, "quantize_weights")
    assert smaller.size < model.size / 2
