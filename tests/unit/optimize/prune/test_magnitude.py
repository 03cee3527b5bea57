"""prune_magnitude on Keras networks and ONNX graphs of many kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.optimize.prune.magnitude import PruneMagnitudeConfig
from taxiway.optimize.prune.onnx import OnnxMagnitude
from taxiway.plugins import Context

Array = np.ndarray[Any, Any]
AT_ONCE = {"training": {"epochs": 0}}


def config(**options: Any) -> PruneMagnitudeConfig:
    return msgspec.convert(options, PruneMagnitudeConfig)


def zeros(values: Array) -> float:
    return float(np.mean(values == 0))


def keras_weights(model: Model) -> dict[str, Array]:
    from taxiway.model.load_keras import load_keras
    from taxiway.optimize.training.network import named_weights

    network = load_keras(model.path)
    return {name: weight.value.numpy() for name, weight in named_weights(network).items()}


def pruned_keras(model: Model, context: Context, **options: Any) -> Model:
    from taxiway.optimize.prune.keras import KerasMagnitude

    return KerasMagnitude().run(model, config(**options), context)


@pytest.mark.slow
def test_every_kind_of_network(kind: str, saved, context) -> None:
    """Kernels, and nothing else, have the zeros that were asked for; the promises say so."""
    model, _ = saved(kind)
    options = {"scope": "layer", "sparsity": 0.6, **AT_ONCE}
    result = pruned_keras(model, context(), **options)
    before, after = keras_weights(model), keras_weights(result)
    promised = {promise.weight: promise for promise in result.promises}
    for name, values in after.items():
        if name in promised:
            assert zeros(values) == round(0.6 * values.size) / values.size == promised[name].share
        else:
            np.testing.assert_array_equal(values, before[name])
    # Nested networks may use a name twice: `fc/kernel#2`.
    kernels = {name for name in before if name.partition("#")[0].endswith("kernel")}
    assert set(promised) == kernels - {"depthwise/kernel", "separable/depthwise_kernel"}
    assert result.signature == model.signature


@pytest.mark.slow
def test_pruning_while_training(saved, context) -> None:
    """The whole sparsity is reached over all layers, and the network still learns."""
    model, rows = saved("residual")
    told: dict[str, Any] = {}
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 0.02, "patience": 2}
    work = context(rows, tell=told.__setitem__)
    result = pruned_keras(model, work, sparsity=0.5, training=training)
    sizes = [promise.size for promise in result.promises]
    total = sum(promise.share * promise.size for promise in result.promises)
    assert total == pytest.approx(0.5 * sum(sizes), abs=1)
    epochs = told["training"]["epochs"]
    assert [epoch["settled"] for epoch in epochs[:5]] == [False] * 4 + [True]
    assert epochs[told["training"]["kept"]]["settled"]
    assert epochs[-1]["validation_loss"] < epochs[0]["validation_loss"]
    again = pruned_keras(model, context(rows, "again"), sparsity=0.5, training=training)
    assert again.path.read_bytes() == result.path.read_bytes()


@pytest.mark.slow
def test_pruning_a_pruned_network(saved, context) -> None:
    """What was zero stays zero; the promise is the new one."""
    model, rows = saved("logits")
    training = {"epochs": 1, "learning_rate": 0.01}
    first = pruned_keras(model, context(rows), sparsity=0.5, scope="layer", training=training)
    second = pruned_keras(
        first, context(rows, "second"), sparsity=0.75, scope="layer", training=training
    )
    before, after = keras_weights(first), keras_weights(second)
    for promise in second.promises:
        assert promise.share == 0.75 == zeros(after[promise.weight])
        assert ((after[promise.weight] == 0) | (before[promise.weight] != 0)).all()
    assert len(second.promises) == len(first.promises)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ["nothing"]}, "no operator is called 'nothing'"),
        ({"exclude": [".*"]}, "leave no weight of source.keras to prune.*|layers: hidden, fc"),
    ],
    ids=["only", "exclude"],
)
def test_layers_that_are_not_there(options: Any, said: str, saved, context) -> None:
    model, _ = saved("logits")
    with pytest.raises(StepError, match=said):
        pruned_keras(model, context(), **options, **AT_ONCE)


@pytest.mark.slow
def test_layers_by_name_and_type(saved, context) -> None:
    model, _ = saved("residual")
    result = pruned_keras(
        model, context(), only=["Conv2D", "depthwise", "separable"], exclude=["sep.*"], **AT_ONCE
    )
    assert {promise.weight for promise in result.promises} == {"conv1/kernel", "depthwise/kernel"}


# ONNX


def graph_of(
    kind: str, dtype: Any = np.float32
) -> tuple[onnx.ModelProto, dict[str, Array], set[str]]:
    """A model, an input for it, and the names of the weights that may be pruned."""
    rng = np.random.default_rng(0)
    tensor = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(size=shape).astype(dtype), name)

    def value(name: str, *shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, tensor, shape)

    node = helper.make_node
    if kind == "conv":
        nodes = [
            node("Conv", ["x", "w", "b"], ["c"], name="conv"),
            node("Conv", ["c", "d"], ["e"], name="depthwise", group=8),
            node("ConvTranspose", ["e", "t"], ["y"], name="up"),
        ]
        stored = [
            weight("w", 8, 4, 3, 3),
            weight("b", 8),
            weight("d", 8, 1, 3, 3),
            weight("t", 8, 4, 2, 2),
        ]
        shape, expected = (2, 4, 9, 9), {"w", "t"}
    elif kind == "dense":
        nodes = [
            node("Gemm", ["x", "w", "b"], ["g"], name="fc", transB=1),
            node("MatMul", ["g", "m"], ["h"]),
            node("MatMul", ["h", "tied"], ["i"]),
            node("MatMul", ["i", "tied"], ["j"]),
            node("Add", ["j", "a"], ["k"]),
            node("MatMul", ["k", "also"], ["l"]),
            node("Add", ["l", "also"], ["y"]),
        ]
        stored = [weight("w", 8, 8), weight("b", 8), weight("m", 8, 8), weight("tied", 8, 8)]
        stored += [weight("a", 8), weight("also", 8, 8)]
        shape, expected = (8, 8), {"w", "m", "tied"}
    elif kind == "lstm":
        nodes = [
            node("LSTM", ["x", "w", "r", "b"], ["s", ""], hidden_size=4, name="lstm"),
            node("Squeeze", ["s", "axes"], ["y"]),
        ]
        stored = [weight("w", 1, 16, 8), weight("r", 1, 16, 4), weight("b", 1, 32)]
        stored.append(numpy_helper.from_array(np.array([1]), "axes"))
        shape, expected = (5, 2, 8), {"w", "r"}
    else:
        constant = node("Constant", [], ["w"], value=weight("", 8, 8))
        nodes, stored = [constant, node("MatMul", ["x", "w"], ["y"])], []
        shape, expected = (2, 8), {"w"}
    graph = helper.make_graph(
        nodes, kind, [value("x", *shape)], [value("y", *[None] * len(shape))], stored
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    proto = onnx.shape_inference.infer_shapes(proto)
    return proto, {"x": rng.normal(size=shape).astype(dtype)}, expected


def tensors(path: Path) -> dict[str, Array]:
    proto = onnx.load(str(path))
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def pruned_onnx(
    proto: Any, folder: Path, external: bool = False, **options: Any
) -> tuple[Model, Model]:
    (folder / "work").mkdir(parents=True)
    path = folder / "m.onnx"
    more = (
        {"save_as_external_data": True, "location": "w.data", "size_threshold": 64}
        if external
        else {}
    )
    onnx.save(proto, str(path), **more)
    before = describe(path, "onnx")
    return before, OnnxMagnitude().run(before, config(**options), Context(workdir=folder / "work"))


@pytest.mark.parametrize("external", [False, True], ids=["inline", "external"])
@pytest.mark.parametrize("kind", ["conv", "dense", "lstm", "constant"])
def test_graphs(kind: str, external: bool, tmp_path: Path) -> None:
    """The smallest weights are zero, the others as they were; biases and shared tensors are untouched."""
    proto, feed, expected = graph_of(kind)
    before, result = pruned_onnx(proto, tmp_path, external, sparsity=0.5, scope="layer")
    assert {promise.weight: promise.share for promise in result.promises} == dict.fromkeys(
        expected, 0.5
    )
    old, new = tensors(before.path), tensors(result.path)
    for name, values in new.items():
        dropped = (values == 0) & (old[name] != 0)
        assert zeros(values) == (0.5 if name in expected else 0) or name == "axes"
        np.testing.assert_array_equal(values[~dropped], old[name][~dropped])
        if name in expected:
            assert np.abs(old[name][dropped]).max() <= np.abs(values[~dropped]).min()
    assert all(np.isfinite(output).all() for output in open_runner(result).predict(feed).values())
    assert result.size == before.size or not external


@pytest.mark.parametrize(
    ("kind", "weight", "axis"),
    [("conv", "w", 1), ("conv", "t", 0), ("dense", "w", 1), ("dense", "m", 0), ("lstm", "w", 2)],
)
def test_two_of_four_inputs(kind: str, weight: str, axis: int, tmp_path: Path) -> None:
    """Of four neighbours along the axis of the input channels, which the operator says."""
    proto, _, _ = graph_of(kind)
    _, result = pruned_onnx(proto, tmp_path, pattern="2:4")
    values = np.moveaxis(tensors(result.path)[weight], axis, -1)
    assert (np.count_nonzero(values.reshape(-1, 4), axis=1) == 2).all()
    assert all(promise.pattern == "2:4" for promise in result.promises)


def test_blocks_of_outputs_and_inputs(tmp_path: Path) -> None:
    proto, _, _ = graph_of("dense")
    _, result = pruned_onnx(
        proto, tmp_path, pattern="block", block=[2, 4], sparsity=0.5, scope="layer"
    )
    found = tensors(result.path)
    for values in (found["w"], found["m"].T):
        counts = np.count_nonzero(values.reshape(4, 2, 2, 4), axis=(1, 3))
        assert set(counts.ravel()) == {0, 8} and (counts == 0).sum() == 4


def test_half_precision(tmp_path: Path) -> None:
    proto, _, _ = graph_of("dense", np.float16)
    _, result = pruned_onnx(proto, tmp_path, sparsity=0.25, scope="layer")
    assert (
        tensors(result.path)["w"].dtype == np.float16 and zeros(tensors(result.path)["w"]) == 0.25
    )


def test_what_is_not_finite_is_named(tmp_path: Path) -> None:
    proto, _, _ = graph_of("dense")
    bad = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    bad[0, 0] = np.nan
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(bad, "w"))
    with pytest.raises(StepError, match=r"weight 'w' of 'fc' is not finite: 1 of 64"):
        pruned_onnx(proto, tmp_path)


def test_a_graph_without_weights(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([node], "g", value[:1], value[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(StepError, match=r"m.onnx has no float weight"):
        pruned_onnx(proto, tmp_path)


@pytest.mark.parametrize(
    "options",
    [{"training": {"epochs": 3}}, {"schedule": {"end": 1.0}}],
    ids=["training", "schedule"],
)
def test_training_is_for_keras(options: Any) -> None:
    with pytest.raises(ValueError, match="works on keras only"):
        OnnxMagnitude().check(config(**options))
    OnnxMagnitude().check(config(**AT_ONCE))
