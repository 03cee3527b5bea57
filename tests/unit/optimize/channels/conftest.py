"""Networks as the pass has them in memory, and cuts that are drawn by chance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.optimize.channels.graph import ChannelGraph, Cut
from taxiway.optimize.channels.onnx.constants import with_plain_constants
from taxiway.optimize.channels.onnx.prune import OnnxNetwork


def draw(graph: ChannelGraph, seed: int) -> Cut:
    """A cut of any channels, that leaves one of every group."""
    random = np.random.default_rng(seed)
    cut = graph.nothing()
    for group in graph.groups:
        count = random.integers(0, len(group.channels))
        cut[random.choice(group.channels, count, replace=False)] = True
    return cut


@pytest.fixture(scope="session")
def drawn() -> Callable[[ChannelGraph, int], Cut]:
    return draw


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], OnnxNetwork]:
    """`network(proto)`: as the pass has it."""
    folder = tmp_path_factory.mktemp("network")

    def make(proto: Any) -> OnnxNetwork:
        path = folder / "network.onnx"
        onnx.save(proto, path)
        signature = describe(path, "onnx").signature
        with_plain_constants(proto)
        return OnnxNetwork(proto, "network.onnx", signature)

    return make


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[[Any], Model]:
    def save(proto: Any) -> Model:
        onnx.save(proto, tmp_path / "source.onnx")
        return describe(tmp_path / "source.onnx", "onnx")

    return save
