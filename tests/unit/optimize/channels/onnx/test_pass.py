"""The pass on ONNX files: options, what it tells, and what bad input gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_network import Network

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.runners import open_runner
from taxiway.optimize.channels.onnx.prune import OnnxChannels
from taxiway.plugins import Batch, Context, Selection


def lenet(seed: int = 0) -> Any:
    net = Network(seed)
    x = net.node("Relu", net.conv(net.input("image", "batch", 1, 8, 8), 1, 8))
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Relu", net.conv(x, 8, 12))
    x = net.node("Relu", net.dense(net.node("Flatten", x), 12 * 16, 20))
    return net.model(net.node("Softmax", net.dense(x, 20, 4), axis=1))


class Images:
    """The `calibration` split: images, of which some rows may be bad."""

    class_names = None
    splits = ("calibration",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, rows: int = 40, bad: bool = False) -> None:
        self.rows = np.random.default_rng(1).normal(size=(rows, 1, 8, 8)).astype(np.float32)
        if bad:
            self.rows[7, 0, 0, 0] = np.nan

    def count(self, selection: Selection) -> int:
        return min(len(self.rows), selection.samples or len(self.rows))

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Any:
        for start in range(0, self.count(selection), size):
            yield Batch(
                {"image": self.rows[start : min(start + size, self.count(selection))]}, None
            )


@pytest.fixture
def prune(tmp_path: Any) -> Callable[..., tuple[Model, dict[str, Any]]]:
    def run(model: Model, data: Any = None, **options: Any) -> tuple[Model, dict[str, Any]]:
        step, told = OnnxChannels(), {}
        config = msgspec.convert(options, step.Config)
        step.check(config)
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        context = Context(workdir=folder, data=data, tell=told.__setitem__)
        return step.run(model, config, context), told["channels"]

    return run


def predict(model: Model, rows: int = 5) -> Any:
    inputs = {"image": np.random.default_rng(2).normal(size=(rows, 1, 8, 8)).astype(np.float32)}
    (scores,) = open_runner(model).predict(inputs).values()
    return scores


def test_half_of_the_channels(on_disk: Any, prune: Any) -> None:
    model = on_disk(lenet())
    pruned, told = prune(model)
    assert told["layers"] == {"conv0": [8, 4], "conv3": [12, 6], "gemm6": [20, 10], "gemm8": [4, 4]}
    assert told["protected"] == {"gemm8": "Softmax 'softmax9' normalizes over it"}
    assert told["channels"] == [40, 20]
    assert told["proof"] < 1e-5
    sizes = [
        sum(np.prod(t.dims) for t in onnx.load(m.path).graph.initializer) for m in (model, pruned)
    ]
    assert told["parameters"] == sizes
    assert told["macs"] == [
        64 * 9 * 8 + 16 * 9 * 8 * 12 + 192 * 20 + 80,
        64 * 9 * 4 + 16 * 9 * 4 * 6 + 96 * 10 + 40,
    ]
    assert pruned.signature == model.signature
    assert predict(pruned).shape == (5, 4)


@pytest.mark.parametrize("importance", ["l1", "activation"])
def test_channels_of_zeros_go_and_nothing_else_changes(
    importance: str, on_disk: Any, prune: Any
) -> None:
    """Filters 1, 2 and 6 of the first convolution, 0 and 5 of the second one."""
    proto = lenet()
    for name, gone in (("w0", [1, 2, 6]), ("w1", [1, 2, 6]), ("w2", [0, 5]), ("w3", [0, 5])):
        (tensor,) = [t for t in proto.graph.initializer if t.name == name]
        values = numpy_helper.to_array(tensor).copy()
        values[gone] = 0
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    model = on_disk(proto)
    options = {"importance": importance, "ranking": "global", "only": ["Conv"], "share": 0.25}
    pruned, told = prune(model, Images(), **options)
    assert told["layers"]["conv0"] == [8, 5] and told["layers"]["conv3"] == [12, 10]
    np.testing.assert_allclose(predict(pruned), predict(model), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"share": 0.25}, [6, 9, 15]),
        ({"share": 0.5, "round_to": 4}, [4, 8, 8]),
        ({"share": 0.4, "exclude": ["conv3"]}, [8, 12, 4]),
        ({"share": 0.5, "only": ["gemm.*"]}, [8, 12, 10]),
        ({"share": 0.5, "only": ["Conv"], "exclude": ["conv0"]}, [8, 6, 20]),
        ({"share": 0.8, "min_channels": 2}, [2, 2, 4]),
    ],
    ids=["share", "round_to", "exclude", "only", "both", "min_channels"],
)
def test_options(options: dict[str, Any], layers: list[int], on_disk: Any, prune: Any) -> None:
    _, told = prune(on_disk(lenet()), **options)
    found = [told["layers"][layer][1] for layer in ("conv0", "conv3", "gemm6")]
    if "exclude" in options and "only" not in options:
        assert (
            found[1] == 12 and told["protected"]["conv3"] == "'conv3' stays, as exclude: names it"
        )
        assert sum(found) - 12 == 17
    else:
        assert found == layers


@pytest.mark.parametrize("metric", ["macs", "parameters"])
@pytest.mark.parametrize("ranking", ["group", "global"])
def test_a_target(metric: str, ranking: str, on_disk: Any, prune: Any) -> None:
    _, told = prune(on_disk(lenet()), target={metric: 0.6}, ranking=ranking)
    before, after = told[metric]
    assert 0.3 * before < after <= 0.4 * before


def test_equal_bytes(on_disk: Any, prune: Any) -> None:
    model = on_disk(lenet())
    (one, _), (two, _) = (prune(model, Images(), importance="activation") for _ in range(2))
    assert one.path.read_bytes() == two.path.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"training": {"epochs": 3}}, "'training' works on keras only"),
        ({"importance": "gradient"}, "'gradient' works on keras only"),
        ({"iterations": 2}, "'iterations' above 1"),
    ],
    ids=["training", "gradient", "iterations"],
)
def test_what_keras_alone_has_is_refused_by_the_plan(options: dict[str, Any], message: str) -> None:
    step = OnnxChannels()
    with pytest.raises(ValueError, match=message):
        step.check(msgspec.convert(options, step.Config))


@pytest.mark.parametrize(
    "options",
    [
        *({"share": 0}, {"share": 1}, {"target": {}}, {"target": {"macs": 0.5, "parameters": 0.5}}),
        *({"importance": "l2"}, {"min_channels": 0}, {"iterations": 0}),
    ],
    ids=str,
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, OnnxChannels.Config)


def test_a_network_of_which_nothing_can_be_cut(on_disk: Any, prune: Any) -> None:
    net = Network()
    x = net.conv(net.input("image", "batch", 2, 8, 8), 2, 4)
    model = on_disk(net.model(net.node("Softmax", x, axis=1)))
    with pytest.raises(StepError, match=r"no channel of source\.onnx can be cut: conv0: Softmax"):
        prune(model)


def test_a_share_that_the_limits_do_not_allow(on_disk: Any, prune: Any) -> None:
    with pytest.raises(StepError, match=r"at most 40.0%") as caught:
        prune(on_disk(lenet()), min_channels=8)
    assert caught.value.hint and "share=0.4" in caught.value.hint


def test_a_pattern_that_matches_nothing(on_disk: Any, prune: Any) -> None:
    with pytest.raises(StepError, match="no operator is called 'conv7'"):
        prune(on_disk(lenet()), exclude=["conv7"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(value: float, on_disk: Any, prune: Any) -> None:
    proto = lenet()
    (tensor,) = [t for t in proto.graph.initializer if t.name == "w2"]
    values = numpy_helper.to_array(tensor).copy()
    values[3, 1] = value
    tensor.CopyFrom(numpy_helper.from_array(values, "w2"))
    with pytest.raises(StepError, match="weight 'w2' holds NaN or Inf at 9 of"):
        prune(on_disk(proto))


def test_samples_that_are_not_finite(on_disk: Any, prune: Any) -> None:
    with pytest.raises(StepError, match="'conv3' holds NaN or Inf"):
        prune(on_disk(lenet()), Images(bad=True), importance="activation")


def test_activation_without_data(on_disk: Any, prune: Any) -> None:
    with pytest.raises(StepError, match="has no data"):
        prune(on_disk(lenet()), importance="activation")


def test_activation_reads_its_samples() -> None:
    step = OnnxChannels()
    config = msgspec.convert(
        {"importance": "activation", "samples": 9, "split": "some"}, step.Config
    )
    assert step.reads(config) == (Selection("some", 9),)
    assert step.reads(msgspec.convert({}, step.Config)) == ()


def test_half_precision(on_disk: Any, prune: Any) -> None:
    proto = lenet()
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    pruned, told = prune(on_disk(proto))
    assert told["channels"] == [40, 20]
    assert pruned.signature.outputs[0].dtype == "float16"
