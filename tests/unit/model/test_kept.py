"""Promises against a file: found by name or by size, each by a weight of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.model import Model, Signature
from taxiway.model.kept import broken, inherited
from taxiway.model.promises import Clusters, Sparsity


def _model(folder: Path, weights: Mapping[str, Any]) -> Model:
    """An ONNX file whose MatMuls read these weights."""
    nodes = [helper.make_node("MatMul", ["x", name], [f"y{at}"]) for at, name in enumerate(weights)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    outputs = [
        helper.make_tensor_value_info(f"y{at}", TensorProto.FLOAT, None)
        for at in range(len(weights))
    ]
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in weights.items()
    ]
    path = folder / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], outputs, tensors)), path)
    return Model(format="onnx", path=path, signature=Signature(inputs=(), outputs=()))


def _weight(share: float, values: int, size: int = 1000, seed: int = 0) -> Any:
    """`[size / 10, 10]`: this share of zeros and `values` distinct ones, zero included."""
    zeros = round(size * share)
    rest = 1 + np.arange(size - zeros) % (values - bool(zeros))
    flat = np.concatenate([np.zeros(zeros), rest])
    return np.random.default_rng(seed).permutation(flat).reshape(-1, 10)


def _zeros(name: str, share: float, size: int = 1000, **more: Any) -> Sparsity:
    return Sparsity(weight=name, size=size, share=share, **more)


def _values(name: str, count: int, size: int = 1000) -> Clusters:
    return Clusters(weight=name, size=size, count=count)


CASES = {
    "kept": ({"w": _weight(0.8, 16)}, [_zeros("w", 0.8), _values("w", 16)], None),
    "renamed": ({"v": _weight(0.8, 16)}, [_zeros("w", 0.8), _values("w", 16)], None),
    "more-zeros": ({"w": _weight(0.9, 16)}, [_zeros("w", 0.8)], None),
    "fewer-values": ({"w": _weight(0.8, 12)}, [_values("w", 16)], None),
    "within-tolerance": ({"w": _weight(0.796, 16)}, [_zeros("w", 0.8)], None),
    "fewer-zeros": ({"w": _weight(0.79, 16)}, [_zeros("w", 0.8)], "80.00% zeros, found 79.00%"),
    "more-values": ({"w": _weight(0.8, 17)}, [_values("w", 16)], "16 distinct values, found 17"),
    "gone": ({"w": _weight(0.8, 16, 900)}, [_zeros("w", 0.8)], "no weight of 1000 elements"),
    "swapped": (
        {"b": _weight(0.5, 30), "a": _weight(0.9, 5)},
        [_zeros("one", 0.9), _values("one", 5), _zeros("two", 0.5)],
        None,
    ),
    "greedy-would-fail": (
        {"x": _weight(0.9, 9), "y": _weight(0.5, 9)},
        [_zeros("one", 0.5), _zeros("two", 0.9)],
        None,
    ),
    "one-for-two": (
        {"x": _weight(0.9, 9), "y": _weight(0.1, 9)},
        [_zeros("one", 0.5), _zeros("two", 0.9)],
        "promised 50.00% zeros, found 10.00%|stands for another",
    ),
    "a-name-binds": (
        {"one": _weight(0.1, 9), "other": _weight(0.9, 9)},
        [_zeros("one", 0.5)],
        "one: promised 50.00% zeros, found 10.00%",
    ),
    "equal-weights-stored-once": (
        {"x": _weight(0.9, 9)},
        [_zeros("one", 0.9), _zeros("two", 0.9)],
        None,
    ),
}


@pytest.mark.parametrize(("weights", "promises", "line"), CASES.values(), ids=CASES)
def test_broken(tmp_path: Path, weights: Any, promises: Any, line: str | None) -> None:
    found = broken(promises, _model(tmp_path, weights))
    if line is None:
        assert found == []
    else:
        assert len(found) == 1
        assert any(part in found[0] for part in line.split("|")), found


def _two_of_four(inputs: int = 8, outputs: int = 5) -> Any:
    """`[inputs, outputs]` as a MatMul has it: the first two of every four inputs are zero."""
    values = np.random.default_rng(0).normal(size=(inputs, outputs))
    values[np.arange(inputs) % 4 < 2] = 0
    return values


def _blocks() -> Any:
    """`[6, 8]`: blocks of 4 outputs and 2 inputs, every other one zero."""
    values = np.random.default_rng(0).normal(size=(8, 6)) + 5
    values[:4, :2] = values[4:, 2:4] = values[:4, 4:] = 0
    return values.T


PATTERNED = {
    "2:4": (_two_of_four(), {"pattern": "2:4"}, 0.5, None),
    "2:4-with-a-rest": (_two_of_four(8)[:6], {"pattern": "2:4"}, 4 / 6, None),
    "2:4-along-outputs": (
        _two_of_four().T,
        {"pattern": "2:4"},
        0.5,
        "2 of 4 zeros, 50.00% of the groups",
    ),
    "block": (_blocks(), {"pattern": "block", "block": (4, 2)}, 0.5, None),
    "block-shifted": (
        np.roll(_blocks(), 1, 0),
        {"pattern": "block", "block": (4, 2)},
        0.5,
        "zeros in whole blocks",
    ),
}


@pytest.mark.parametrize(("values", "more", "share", "line"), PATTERNED.values(), ids=PATTERNED)
def test_pattern(tmp_path: Path, values: Any, more: Any, share: float, line: str | None) -> None:
    promise = _zeros("w", share, values.size, **more)
    found = broken([promise], _model(tmp_path, {"w": values}))
    assert [line in text for text in found if line] == ([True] if line else [])
    assert bool(found) == bool(line)


def test_inherited() -> None:
    before = (_zeros("a", 0.5), _values("a", 9), _zeros("b", 0.7))
    own = (_zeros("a", 0.9), _values("c", 4))
    assert inherited(before, own) == (_zeros("a", 0.9), _values("a", 9), _zeros("b", 0.7), own[1])
    assert inherited(before, own, renews=True) == own
    assert inherited(before, ()) == before
