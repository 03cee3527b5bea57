"""Sparse .tflite files: smaller, the same numbers in both sets of kernels, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edited_tflite import edited, pruned

from taxiway.errors import StepError
from taxiway.execute.order import between
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners.litert_runner import LiteRTRunner
from taxiway.model.weights import stored_weights
from taxiway.plugins import Batch, Context, Selection, registry

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]


class Rows:
    class_names = None
    preprocessing: dict[str, Any] = {}

    def __init__(self, rows: Array) -> None:
        self.rows = rows

    def count(self, selection: Selection) -> int:
        return min(len(self.rows), selection.samples or len(self.rows))

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Any:
        for start in range(0, self.count(selection), size):
            yield Batch({"image": self.rows[start : start + size]}, None)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Two convolutions, a depthwise one and a dense layer of 80,000 weights."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    first, depthwise, second, head = (
        (random.normal(size=shape) / 6).astype(np.float32)
        for shape in ((3, 3, 3, 16), (5, 5, 16, 1), (3, 3, 16, 32), (2048, 40))
    )

    def call(image: Any) -> dict[str, Any]:
        x = tf.nn.relu(tf.nn.conv2d(image, first, 1, "SAME"))
        x = tf.nn.relu(tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], "SAME"))
        x = tf.nn.relu(tf.nn.conv2d(x, second, 1, "SAME"))
        return {"scores": tf.reshape(x, [-1, 2048]) @ head}

    spec = tf.TensorSpec([None, 8, 8, 3], tf.float32, "image")
    concrete = tf.function(call, input_signature=[spec]).get_concrete_function()
    folder = tmp_path_factory.mktemp("network")
    tf.saved_model.save(tf.Module(), str(folder / "sm"), signatures=concrete)
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "sm")).convert()
    (folder / "model.tflite").write_bytes(content)
    return describe(folder / "model.tflite", "tflite")


@pytest.fixture
def images() -> Array:
    return np.random.default_rng(1).normal(size=(32, 8, 8, 3)).astype(np.float32)


@pytest.fixture
def optimize(tmp_path: Path, images: Array) -> Any:
    def run(model: Model, name: str, told: list[Any] | None = None, **options: Any) -> Model:
        import msgspec

        plugin = registry().get("optimize", name)
        workdir = tmp_path / f"{name}{len(list(tmp_path.iterdir()))}"
        workdir.mkdir()
        tell: Any = (lambda subject, facts: told.append(facts)) if told is not None else None
        extra = {"tell": tell} if tell else {}
        context = Context(workdir=workdir, data=Rows(images), **extra)
        step: Any = plugin.implementation("tflite")
        result: Model = step.run(model, msgspec.convert(options, plugin.step.Config), context)
        return result

    return run


CALIBRATION = {"calibration": {"samples": 32}}
SMALLER = [
    (None, {}, 2.5),
    ("float16", {}, 2.0),
    ("quantize_weights", {}, 1.4),
    ("quantize_int16", CALIBRATION, 1.4),
]


@pytest.mark.parametrize(("before", "options", "least"), SMALLER, ids=[str(c[0]) for c in SMALLER])
def test_a_pruned_file_gets_smaller_and_computes_the_same(
    before: str | None,
    options: dict[str, Any],
    least: float,
    network: Model,
    images: Array,
    optimize: Any,
    tmp_path: Path,
) -> None:
    model = pruned(network, tmp_path / "pruned.tflite", 0.85)
    model = optimize(model, before, **options) if before else model
    told: list[Any] = []
    result = optimize(model, "sparsify", told=told)
    assert model.size / result.size > least
    assert told[0]["bytes"] == {"before": model.size, "after": result.size}
    assert result.signature == model.signature
    for kernels in ("fast", "plain"):
        one, two = (
            LiteRTRunner(each, 1, kernels).predict({"image": images})["scores"]
            for each in (model, result)
        )
        np.testing.assert_array_equal(one, two)
    shares = [
        sorted(
            (weight.size, weight.zeros()) for weight in stored_weights(each) if weight.size > 400
        )
        for each in (model, result)
    ]
    assert shares[0] == shares[1]


def test_blocks_are_stored_as_blocks(network: Model, optimize: Any, tmp_path: Path) -> None:
    """As many zeros in blocks of 1x8 take fewer bytes than anywhere."""

    def cut(size: int) -> Any:
        def edit(name: str, values: Array) -> Array:
            if values.shape == (40, 2048):
                blocks = values.reshape(-1, size)
                strength = np.abs(blocks).sum(1)
                blocks[strength < np.quantile(strength, 0.85)] = 0
            return values

        return edit

    blocked, anywhere = (
        optimize(edited(network, tmp_path / f"{size}.tflite", cut(size)), "sparsify").size
        for size in (8, 1)
    )
    assert blocked < anywhere - 10_000


@pytest.mark.parametrize("name", ["quantize_static", "quantize_dynamic"])
def test_weights_of_integer_kernels_are_refused(
    name: str, network: Model, optimize: Any, tmp_path: Path
) -> None:
    model = pruned(network, tmp_path / "pruned.tflite", 0.9)
    model = optimize(model, name, **(CALIBRATION if name == "quantize_static" else {}))
    with pytest.raises(StepError, match="kernels that take dense ones only") as caught:
        optimize(model, "sparsify")
    assert "quantize_weights" in str(caught.value.hint)


@pytest.mark.parametrize("share", [0.0, 0.2], ids=["dense", "a fifth of zeros"])
def test_a_file_that_would_not_get_smaller_is_refused(
    share: float, network: Model, optimize: Any, tmp_path: Path
) -> None:
    model = pruned(network, tmp_path / "pruned.tflite", share)
    model = optimize(model, "quantize_weights") if share else model
    with pytest.raises(StepError, match="gets smaller without its zeros"):
        optimize(model, "sparsify")


def test_nothing_is_quantized_after_it(network: Model, optimize: Any, tmp_path: Path) -> None:
    sparse = optimize(pruned(network, tmp_path / "pruned.tflite", 0.9), "sparsify")
    with pytest.raises(StepError, match="sparse"):
        optimize(sparse, "quantize_weights")
    steps: Any = [
        registry().get("optimize", name).implementation("tflite")
        for name in ("sparsify", "quantize_weights")
    ]
    (clash,) = between("sparsify", steps[0], "quantize_weights", steps[1])
    assert clash.kind == "undoes"
