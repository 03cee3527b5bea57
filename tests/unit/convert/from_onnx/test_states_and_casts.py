"""What exporters write around recurrent layers and embeddings, in TFLite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner

pytestmark = pytest.mark.slow

BODIES = {
    "a state whose batch is the second axis": (
        "float[1,n,4] y",
        "axis = Constant<value = int64[1] {0}>() y = Unsqueeze(x, axis)",
    ),
    "an index that was a boolean": (
        "float[n,4] y",
        "z = Constant<value = float {0.0}>() t = Constant<value = float[2] {5.0, 7.0}>() "
        "g = Greater(x, z) i = Cast<to = 7>(g) y = Gather(t, i)",
    ),
    "padding that wraps": (
        "float[n,7] y",
        "p = Constant<value = int64[4] {0, 2, 0, 1}>() y = Pad<mode = \"wrap\">(x, p)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("output", "body"), BODIES.values(), ids=BODIES)
def test_it_gives_the_numbers_of_onnx_runtime(
    output: str, body: str, tmp_path: Path, convert: Callable[..., Model]
) -> None:
    header = '<ir_version: 9, opset_import: ["" : 19]>'
    proto: Any = onnx.parser.parse_model(f"{header} g (float[n,4] x) => ({output}) {{ {body} }}")
    onnx.save(proto, tmp_path / "model.onnx")
    source = describe(tmp_path / "model.onnx", "onnx")
    result = convert(source, "tflite")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected, found = (open_runner(m).predict({"x": x})["y"] for m in (source, result))
    assert np.array_equal(expected, found)
