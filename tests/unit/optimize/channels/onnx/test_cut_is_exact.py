"""The proof that a cut is right: on random graphs, a network without channels gives what the whole one gives
where nobody listens to them, and where they really are zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_network import Network

from taxiway.optimize.channels.graph import ChannelGraph, Cut
from taxiway.optimize.channels.onnx.prune import OnnxNetwork

ROWS = 3
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Grown:
    """A random graph: each step takes a tensor that is there and makes another one of it.

    zero_stays_zero: only operators that make zeros of zeros.
    """

    def __init__(self, seed: int, steps: int, zero_stays_zero: bool) -> None:
        self.choice = np.random.default_rng(seed)
        self.net = Network(seed)
        self.calm = zero_stays_zero
        image = self.net.input("image", "batch", 2, 8, 8)
        # (name, channels, height) of what is there.
        self.tensors = [(image, 2, 8)]
        self._conv(image, 2, 8)
        for _ in range(steps):
            self._grow()

    def _grow(self) -> None:
        name, channels, size = self.tensors[self.choice.integers(1, len(self.tensors))]
        moves = [
            *(self._conv, self._conv, self._depthwise, self._normalize, self._activate),
            *(
                self._add,
                self._concat,
                self._pool,
                self._squeeze_and_excite,
                self._split,
                self._turn,
            ),
        ]
        moves[self.choice.integers(len(moves))](name, channels, size)

    def _is(self, name: str, channels: int, size: int) -> None:
        self.tensors.append((name, channels, size))

    def _conv(self, name: str, channels: int, size: int) -> None:
        made = int(self.choice.integers(2, 7))
        kernel = int(self.choice.choice([1, 3]))
        self._is(self.net.conv(name, channels, made, kernel), made, size)

    def _depthwise(self, name: str, channels: int, size: int) -> None:
        multiplier = int(self.choice.integers(1, 3))
        made = channels * multiplier
        self._is(self.net.conv(name, channels, made, group=channels), made, size)

    def _normalize(self, name: str, channels: int, size: int) -> None:
        self._is(self.net.normalized(name, channels), channels, size)

    def _activate(self, name: str, channels: int, size: int) -> None:
        kind = self.choice.choice(["Relu", "LeakyRelu"] if self.calm else ["Sigmoid", "HardSwish"])
        self._is(self.net.node(str(kind), name), channels, size)

    def _partner(self, channels: int | None, size: int) -> tuple[str, int, int]:
        fits = [t for t in self.tensors if t[2] == size and channels in (None, t[1])]
        found: tuple[str, int, int] = fits[self.choice.integers(len(fits))]
        return found

    def _add(self, name: str, channels: int, size: int) -> None:
        other, _, _ = self._partner(channels, size)
        self._is(self.net.node("Add", name, other), channels, size)

    def _concat(self, name: str, channels: int, size: int) -> None:
        other, more, _ = self._partner(None, size)
        if channels + more <= 16:
            self._is(self.net.node("Concat", name, other, axis=1), channels + more, size)

    def _pool(self, name: str, channels: int, size: int) -> None:
        kind = str(self.choice.choice(["MaxPool", "AveragePool"]))
        if size > 2:
            pooled = self.net.node(kind, name, kernel_shape=[2, 2], strides=[2, 2])
            self._is(pooled, channels, size // 2)

    def _squeeze_and_excite(self, name: str, channels: int, size: int) -> None:
        x = self.net.node("GlobalAveragePool", name)
        x = self.net.conv(x, channels, 3, 1)
        x = self.net.conv(self.net.node("Relu", x), 3, channels, 1)
        x = x if self.calm else self.net.node("Sigmoid", x)
        self._is(self.net.node("Mul", name, x), channels, size)

    def _split(self, name: str, channels: int, size: int) -> None:
        if channels > 2:
            sizes = self.net.constant(np.array([1, channels - 1], np.int64))
            first, second = self.net.node("Split", name, sizes, outputs=2, axis=1)
            self._is(first, 1, size)
            self._is(second, channels - 1, size)

    def _turn(self, name: str, channels: int, size: int) -> None:
        """To channels last and back, by a reshape of known sizes in between."""
        x = self.net.node("Transpose", name, perm=[0, 2, 3, 1])
        flat = self.net.constant(np.array([-1, size * size, channels], np.int64))
        back = self.net.constant(np.array([-1, size, size, channels], np.int64))
        x = self.net.node("Reshape", self.net.node("Reshape", x, flat), back)
        self._is(self.net.node("Transpose", x, perm=[0, 3, 1, 2]), channels, size)

    def proto(self) -> Any:
        """Two heads: one over pooled channels, one over a flattened image."""
        name, channels, _ = self.tensors[-1]
        other, more, size = self.tensors[self.choice.integers(1, len(self.tensors))]
        axes = self.net.constant(np.array([2, 3], np.int64))
        pooled = self.net.node("ReduceMean", name, axes, keepdims=0)
        hidden = self.net.node("Relu", self.net.dense(pooled, channels, 5))
        flat = self.net.node("Flatten", other, axis=1)
        product = self.net.node("MatMul", flat, self.net.weight(more * size * size, 4))
        biased = self.net.node("Relu", self.net.node("Add", product, self.net.weight(4)))
        return self.net.model(self.net.dense(hidden, 5, 3), self.net.dense(biased, 4, 2))


def silenced(network: OnnxNetwork, graph: ChannelGraph, cut: Cut) -> OnnxNetwork:
    """The whole network, with zeros in all that makes or carries a channel that is cut."""
    from onnx import ModelProto, numpy_helper

    proto = ModelProto()
    proto.CopyFrom(network.proto)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor).copy()
        for axis in range(array.ndim):
            roles = graph.roles.get((tensor.name, axis), frozenset())
            if roles & {"out", "carry"}:
                np.moveaxis(array, axis, 0)[cut[graph.slots[tensor.name, axis]]] = 0
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return OnnxNetwork(proto, network.name, network.signature)


def image(seed: int) -> dict[str, Any]:
    return {"image": np.random.default_rng(seed).normal(size=(ROWS, 2, 8, 8)).astype(np.float32)}


def close(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-4 * max(1, np.abs(other).max()))


@QUICK
@given(st.integers(0, 10**6), st.integers(0, 14))
def test_channels_that_nobody_takes_in(
    network: Callable[[Any], OnnxNetwork], drawn: Any, seed: int, steps: int
) -> None:
    whole = network(Grown(seed, steps, zero_stays_zero=False).proto())
    graph = whole.trace((), ())
    cut = drawn(graph, seed)
    pruned = whole.without(graph, cut)
    close(pruned.outputs(image(seed)), whole.muted_outputs(graph, cut, image(seed)))
    again = pruned.trace((), ())
    assert again.parameters(again.nothing()) == graph.parameters(cut)
    assert again.macs(again.nothing()) == graph.macs(cut)
    if all(len(group.channels) == 1 or (~cut[group.channels]).sum() > 1 for group in graph.groups):
        # A depthwise convolution over one channel is an ordinary one.
        assert again.channels == graph.channels - cut.sum()


@QUICK
@given(st.integers(0, 10**6), st.integers(0, 14))
def test_channels_of_zeros(
    network: Callable[[Any], OnnxNetwork], drawn: Any, seed: int, steps: int
) -> None:
    """Importance 0: the pass picks them by itself, and the outputs are those of before."""
    from taxiway.optimize.channels.choice import Limits, choose
    from taxiway.optimize.channels.importance import by_weights

    whole = network(Grown(seed, steps, zero_stays_zero=True).proto())
    graph = whole.trace((), ())
    cut = drawn(graph, seed)
    zeroed = silenced(whole, graph, cut)
    scores = by_weights(graph, zeroed.read)
    left = graph.channels - int(cut.sum())
    # All channels in one list: those of zeros come first, and no others are taken.
    chosen = choose(graph, scores, "channels", left, True, Limits())
    assert (chosen == cut).all()
    close(zeroed.without(graph, chosen).outputs(image(seed)), zeroed.outputs(image(seed)))


def test_most_channels_of_such_graphs_can_be_cut(network: Callable[[Any], OnnxNetwork]) -> None:
    """The properties above would hold for a tracer that protects everything, too."""
    graphs = [network(Grown(seed, 10, False).proto()).trace((), ()) for seed in range(30)]
    made = sum(sum(graph.outputs(graph.nothing()).values()) for graph in graphs)
    assert sum(graph.channels for graph in graphs) > 0.4 * made


@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_cut_is_noticed(
    network: Callable[[Any], OnnxNetwork], drawn: Any, seed: int
) -> None:
    from taxiway.errors import StepError
    from taxiway.optimize.channels.proof import prove

    whole = network(Grown(seed, 6, False).proto())
    graph = whole.trace((), ())
    cut, other = drawn(graph, seed + 100), graph.nothing()
    for group in graph.groups:
        other[group.channels] = np.roll(cut[group.channels], 1)
    assert (cut != other).any()
    assert prove(whole, graph, cut, whole.without(graph, cut), 0) is not None
    with pytest.raises(StepError, match="a defect of Taxiway"):
        prove(whole, graph, cut, whole.without(graph, other), 0)


def test_a_softmax_that_is_sure_hides_no_wrong_cut(network: Callable[[Any], OnnxNetwork]) -> None:
    from taxiway.errors import StepError
    from taxiway.optimize.channels.proof import prove

    net = Network(4)
    x = net.dense(net.input("vector", "batch", 4), 4, 8)
    sure = net.constant(np.array([60, 30, 0], np.float32))
    scores = net.node("Add", net.dense(net.node("Relu", x), 8, 3), sure)
    whole = network(net.model(net.node("Softmax", scores, axis=1)))
    graph = whole.trace((), ())
    cut, other = graph.nothing(), graph.nothing()
    (group,) = graph.groups
    cut[group.channels[:4]], other[group.channels[4:]] = True, True
    assert prove(whole, graph, cut, whole.without(graph, cut), 0) is not None
    with pytest.raises(StepError, match="a defect of Taxiway"):
        prove(whole, graph, cut, whole.without(graph, other), 0)
