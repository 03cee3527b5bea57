"""Operator by operator: what can be cut in front of it, what cannot and why, and that a cut is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_network import Network

from taxiway.optimize.channels.onnx.prune import OnnxNetwork

Made = tuple[Network, str]
LARGE = 2**62


def images(opset: int = 18) -> tuple[Network, str]:
    """A convolution of 6 channels over images [n, 2, 8, 8]: what is cut, or not."""
    net = Network(opset=opset)
    return net, net.conv(net.input("image", "batch", 2, 8, 8), 2, 6)


def after(net: Network, x: str, channels: int = 6) -> Any:
    """A head that takes `channels` in."""
    return net.model(net.conv(x, channels, 3))


def ints(net: Network, *values: int) -> str:
    return net.constant(np.array(values, np.int64))


def through(op: str, *constants: Any, **attributes: Any) -> Callable[[], Any]:
    """A network with one operator between two convolutions."""

    def make() -> Any:
        net, x = images()
        given = [net.constant(np.asarray(value)) for value in constants]
        return after(net, net.node(op, x, *given, **attributes))

    return make


def flattened(how: str) -> Any:
    net, x = images()
    if how == "Flatten":
        x = net.node("Flatten", x)
    elif how == "Reshape -1":
        x = net.node("Reshape", x, ints(net, 0, -1))
    elif how == "Reshape by size":
        x = net.node("Reshape", x, ints(net, -1, 6 * 64))
    elif how == "Reshape of channels last":
        x = net.node("Transpose", x, perm=[0, 2, 3, 1])
        x = net.node("Reshape", x, ints(net, -1, 6 * 64))
    elif how in ("computed batch", "computed channels"):
        shape = net.node("Shape", x)
        axes = [0] if how == "computed batch" else [0, 1]
        batch = net.node("Gather", shape, ints(net, *axes))
        rest = [6 * 64] if how == "computed batch" else [64]
        target = net.node("Concat", batch, ints(net, *rest), axis=0)
        x = net.node("Reshape", x, target)
        if how == "computed channels":
            x = net.node("ReduceMean", x, ints(net, 2), keepdims=0)
            return net.model(net.dense(x, 6, 3))
    elif how == "tf2onnx":
        # What tf2onnx makes of a Keras Flatten.
        x = net.node("Transpose", x, perm=[0, 2, 3, 1])
        sizes = net.node("Gather", net.node("Shape", x), ints(net, 0, 1, 2, 3))
        sizes = net.node("Cast", sizes, to=TensorProto.INT32)
        batch = net.node("Slice", sizes, ints(net, 0), ints(net, 1), ints(net, 0))
        size = net.constant(np.array([6 * 64], np.int32))
        target = net.node("Cast", net.node("Concat", batch, size, axis=0), to=TensorProto.INT64)
        x = net.node("Reshape", x, target)
    return net.model(net.dense(x, 6 * 64, 3))


def split() -> Any:
    net, x = images()
    first, second = net.node("Split", x, ints(net, 2, 4), outputs=2, axis=1)
    return net.model(net.conv(first, 2, 3), net.conv(second, 4, 3))


def equal_split() -> Any:
    net, x = images()
    parts = net.node("Split", x, outputs=3, axis=1, num_outputs=3)
    return net.model(*(net.conv(part, 2, 3) for part in parts))


def early_split() -> Any:
    net, x = images(opset=11)
    first, second = net.node("Split", x, outputs=2, axis=1, split=[2, 4])
    return net.model(net.conv(first, 2, 3), net.conv(second, 4, 3))


def depthwise(multiplier: int) -> Any:
    net, x = images()
    return after(net, net.conv(x, 6, 6 * multiplier, group=6), 6 * multiplier)


def transposed() -> Any:
    net, x = images()
    x = net.node("ConvTranspose", x, net.weight(6, 4, 2, 2), net.weight(4), strides=[2, 2])
    return after(net, x, 4)


def in_two_layers(share: bool) -> Any:
    """A dense layer that is called twice, and two with a bias that they share."""
    net = Network()
    x = net.dense(net.input("vector", "batch", 6), 6, 6)
    kernel, bias = net.weight(6, 6), net.weight(6)
    for _ in range(2):
        x = net.node("Relu", net.node("Gemm", x, kernel if share else net.weight(6, 6), bias))
    return net.model(net.dense(x, 6, 2))


def sequence(op: str) -> Any:
    net = Network()
    x = net.input("steps", 5, "batch", 4)
    x = net.node("MatMul", x, net.weight(4, 6))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    weights = [net.weight(1, gates * 3, 6), net.weight(1, gates * 3, 3)]
    y = net.node(op, x, *weights, hidden_size=3)
    return net.model(net.node("Squeeze", y, ints(net, 1)))


def normalized(op: str) -> Any:
    net, x = images()
    return after(net, net.node(op, x, net.positive(6), net.weight(6)))


def gated() -> Any:
    """Squeeze and excite, over the channels of a depthwise convolution."""
    net, x = images()
    y = net.node("Flatten", net.node("GlobalAveragePool", x))
    y = net.node("Sigmoid", net.dense(net.node("Relu", net.dense(y, 6, 2)), 2, 6))
    y = net.node("Unsqueeze", y, ints(net, 2, 3))
    return after(net, net.node("Mul", x, y))


def biased() -> Any:
    net, x = images()
    x = net.node("Add", x, net.weight(1, 6, 1, 1))
    x = net.node("PRelu", x, net.weight(6, 1, 1))
    return after(net, net.node("Mul", x, net.constant(np.float32(2))))


def moved_weight() -> Any:
    """A kernel that the graph transposes, as PyTorch exports it, and a constant as a node."""
    net = Network()
    x = net.dense(net.input("vector", "batch", 6), 6, 6)
    value = onnx.numpy_helper.from_array(np.ones((4, 6), np.float32))
    kernel = net.node("Transpose", net.node("Constant", value=value), perm=[1, 0])
    return net.model(net.dense(net.node("MatMul", x, kernel), 4, 2))


def unnamed() -> Any:
    net, x = images()
    proto = after(net, net.node("Relu", x))
    for node in proto.graph.node:
        node.name = ""
    return proto


def padded() -> Any:
    net, x = images()
    return after(net, net.node("Pad", x, ints(net, 0, 0, 1, 1, 0, 0, 1, 1)))


def resized(by: str) -> Any:
    net, x = images()
    empty = ""
    if by == "scales":
        scales = net.constant(np.array([1, 1, 2, 2], np.float32))
        return after(net, net.node("Resize", x, empty, scales, mode="nearest"))
    # An axis of a fixed batch: sizes name it.
    net.inputs[0].type.tensor_type.shape.dim[0].dim_value = 1
    return after(net, net.node("Resize", x, empty, empty, ints(net, 1, 6, 16, 16), mode="nearest"))


CUT = {
    "relu": (through("Relu"), 6),
    "clip": (through("Clip", np.float32(0), np.float32(6)), 6),
    "max pool": (through("MaxPool", kernel_shape=[2, 2]), 6),
    "mean over the image": (through("ReduceMean", np.array([2, 3]), keepdims=1), 6),
    "softmax over the image": (through("Softmax", axis=3), 6),
    "slice of the image": (
        through("Slice", np.array([1]), np.array([7]), np.array([2]), np.array([1])),
        6,
    ),
    "instance normalization": (lambda: normalized("InstanceNormalization"), 6),
    "pad": (padded, 6),
    "resize by scales": (lambda: resized("scales"), 6),
    "resize by sizes": (lambda: resized("sizes"), 6),
    **{
        f"flatten: {how}": (lambda how=how: flattened(how), 6)
        for how in (
            *("Flatten", "Reshape -1", "Reshape by size", "Reshape of channels last"),
            *("computed batch", "computed channels", "tf2onnx"),
        )
    },
    "split": (split, 6),
    "equal split": (equal_split, 6),
    "split before operator set 13": (early_split, 6),
    "depthwise": (lambda: depthwise(1), 6),
    "depthwise with a multiplier": (lambda: depthwise(2), 6),
    "transposed convolution": (transposed, 10),
    "a layer twice": (lambda: in_two_layers(share=True), 6),
    "a bias in two layers": (lambda: in_two_layers(share=False), 12),
    **{f"into {op}": (lambda op=op: sequence(op), 6) for op in ("LSTM", "GRU", "RNN")},
    "squeeze and excite": (gated, 8),
    "constants of one value per channel": (biased, 6),
    "a weight that is moved": (moved_weight, 10),
    "nodes without names": (unnamed, 6),
}


def zeros(net: Network, shape: str) -> str:
    return net.node("ConstantOfShape", shape)


def grouped() -> Any:
    net, x = images()
    return after(net, net.conv(x, 6, 6, group=2))


def reshaped_into_groups() -> Any:
    """The shuffle of ShuffleNet."""
    net, x = images()
    x = net.node("Reshape", x, ints(net, 0, 2, 3, 8, 8))
    x = net.node("Transpose", x, perm=[0, 2, 1, 3, 4])
    return after(net, net.node("Reshape", x, ints(net, 0, 6, 8, 8)))


def added_to_input() -> Any:
    net = Network()
    x = net.input("image", "batch", 6, 8, 8)
    return after(net, net.node("Add", x, net.conv(x, 6, 6)))


def attention() -> Any:
    net = Network()
    x = net.input("steps", "batch", 5, 4)
    q, k = (net.node("MatMul", x, net.weight(4, 6)) for _ in range(2))
    return net.model(net.node("MatMul", q, net.node("Transpose", k, perm=[0, 2, 1])))


def tied() -> Any:
    """An output that multiplies by the table of an embedding."""
    net = Network()
    table = net.weight(6, 4)
    x = net.node("Gather", table, net.input("tokens", "batch", 3, dtype=TensorProto.INT64))
    x = net.node("MatMul", x, net.weight(4, 4))
    return net.model(net.node("MatMul", x, net.node("Transpose", table, perm=[1, 0])))


def branch() -> Any:
    """A graph inside a node that reads a tensor of the outside."""
    net, x = images()
    value = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(op, [x], ["y"])], name, [], value)
        for name, op in (("then", "Relu"), ("else", "Sigmoid"))
    }
    y = net.node("If", net.constant(np.array(True)), **branches)
    return net.model(net.node("Relu", y), net.conv(x, 6, 3))


def shape_is_output() -> Any:
    net, x = images()
    return net.model(net.node("Shape", x), dtype=TensorProto.INT64)


def other_domain() -> Any:
    net, x = images()
    y = net.node("Gelu", x, domain="com.microsoft")
    proto = net.model(net.conv(x, 6, 3))
    proto.graph.output.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, None))
    return proto


def computed_weight() -> Any:
    net = Network()
    x = net.dense(net.input("vector", "batch", 6), 6, 6)
    kernel = net.node("Mul", net.weight(6, 3), net.input("scale", 1))
    return net.model(net.node("MatMul", x, kernel))


def unlike_uses() -> Any:
    """A weight that one layer takes from the model's input, and another from channels."""
    net = Network()
    x = net.input("vector", "batch", 6)
    kernel = net.weight(6, 6)
    one = net.node("Gemm", x, kernel)
    two = net.node("Gemm", net.dense(x, 6, 6), kernel)
    return net.model(net.dense(net.node("Concat", one, two, axis=1), 12, 2))


KEPT = {
    "softmax over channels": (through("Softmax", axis=1), "normalizes over it"),
    "early softmax": (
        lambda: (lambda nx: after(nx[0], nx[0].node("Softmax", nx[1])))(images(opset=11)),
        "normalizes over it",
    ),
    "sum over channels": (through("ReduceSum", np.array([1]), keepdims=1), "sums over it"),
    "slice of channels": (
        through("Slice", np.array([0]), np.array([LARGE]), np.array([1]), np.array([1])),
        "takes a part of it",
    ),
    "depth to space": (
        lambda: (lambda nx: after(nx[0], nx[0].node("SpaceToDepth", nx[1], blocksize=2), 24))(
            images()
        ),
        "not followed through",
    ),
    "groups": (grouped, "has 2 groups"),
    "reshape into groups": (reshaped_into_groups, "mixes it with other axes"),
    "added to an input": (added_to_input, "combines it with channels that stay"),
    "attention": (attention, "multiplies two computed tensors"),
    "graph in a node": (branch, "has a graph of its own"),
    "its number is an output": (shape_is_output, "output"),
    "another domain": (other_domain, "not followed through"),
    "a computed kernel": (computed_weight, "multiplies two computed tensors"),
}


@pytest.mark.parametrize("case", CUT)
def test_channels_are_cut_through(
    case: str, network: Callable[[Any], OnnxNetwork], drawn: Any
) -> None:
    make, count = CUT[case]
    whole = network(make())
    graph = whole.trace((), ())
    assert graph.channels == count
    for seed in range(3):
        cut = drawn(graph, seed)
        random = np.random.default_rng(seed)
        inputs = {
            spec.name: random.normal(
                size=[3 if isinstance(axis, str) else axis for axis in spec.shape]
            ).astype(np.float32)
            for spec in whole.signature.inputs
        }
        pruned = whole.without(graph, cut)
        onnx.checker.check_model(pruned.proto, full_check=True)
        found, expected = pruned.outputs(inputs), whole.muted_outputs(graph, cut, inputs)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("case", KEPT)
def test_channels_stay_in_front_of(case: str, network: Callable[[Any], OnnxNetwork]) -> None:
    make, reason = KEPT[case]
    graph = network(make()).trace((), ())
    first = next(iter(graph.protected.items()))
    assert reason in " ".join(graph.protected.values()), first
    if case not in ("depth to space", "groups"):
        assert graph.channels == 0


def test_a_weight_in_uses_that_differ_stays(network: Callable[[Any], OnnxNetwork]) -> None:
    """The kernel's inputs stay; what both layers make is one set of channels, and can be cut."""
    graph = network(unlike_uses()).trace((), ())
    assert graph.channels == 6
    assert "used as it is" in " ".join(graph.protected.values())


@pytest.mark.parametrize(("shared", "channels"), [(10, 0), (100, 4)], ids=["large", "small"])
def test_a_tied_embedding(
    shared: int, channels: int, network: Callable[[Any], OnnxNetwork], monkeypatch: Any
) -> None:
    """A large table is not copied, to be cut in one of its places: so the other place keeps it whole."""
    from taxiway.optimize.channels.onnx import constants

    monkeypatch.setattr(constants, "SHARED", shared)
    graph = network(tied()).trace((), ())
    assert graph.channels == channels
    assert graph.parameters(graph.nothing()) == 40 + (24 if channels else 0)


def test_an_axis_of_a_free_size(network: Callable[[Any], OnnxNetwork], drawn: Any) -> None:
    """Fully convolutional: height and width are free; the work is counted at some size."""
    net = Network()
    x = net.conv(net.input("image", "batch", 2, "height", "width"), 2, 6)
    x = net.conv(net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 6, 4)
    whole = network(net.model(net.conv(net.node("GlobalAveragePool", x), 4, 3, 1)))
    graph = whole.trace((), ())
    assert graph.channels == 10
    cut = drawn(graph, 1)
    assert graph.macs(cut) < graph.macs(graph.nothing())
