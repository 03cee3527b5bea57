"""Weights in other files through float16: the numbers of the pass on weights within."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner


@pytest.fixture
def external(onnx_mlp: Model, tmp_path: Path) -> Model:
    path = tmp_path / "m.onnx"
    onnx.save(
        onnx.load(onnx_mlp.path), path, save_as_external_data=True, location="w", size_threshold=0
    )
    return describe(path, "onnx")


def test_the_stream_gives_the_same_weights(
    external: Model, onnx_mlp: Model, data: Any, optimize: Callable[..., Model]
) -> None:
    inline, streamed = (optimize(model, "float16", data) for model in (onnx_mlp, external))
    a, b = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(model.path).graph.initializer}
        for model in (inline, streamed)
    )
    assert a.keys() == b.keys()
    assert any(values.dtype == np.float16 for values in b.values())
    assert all(np.array_equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)
    x = np.random.default_rng(0).uniform(size=(4, 64)).astype("f4")
    first, second = (open_runner(model).predict({"x": x}) for model in (inline, streamed))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_weights_start_at_a_page(
    external: Model, data: Any, optimize: Callable[..., Model]
) -> None:
    proto = onnx.load(optimize(external, "float16", data).path, load_external_data=False)
    offsets = [
        int(entry.value)
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert len(offsets) > 1 and all(offset % 4096 == 0 for offset in offsets)


def test_weights_that_end_too_early_are_an_error(
    external: Model, data: Any, optimize: Callable[..., Model]
) -> None:
    weights = external.path.with_name("w")
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(StepError, match="ends before the tensor does"):
        optimize(external, "float16", data)
