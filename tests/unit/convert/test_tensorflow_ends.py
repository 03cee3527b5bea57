"""Options of inputs and outputs on the ways that TensorFlow's own converters go."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("f4")
WAYS = [
    ("keras", "saved_model"),
    ("keras", "tflite"),
    ("saved_model", "saved_model"),
    ("saved_model", "tflite"),
    ("saved_model", "onnx"),
    ("tflite", "onnx"),
]
OPTIONS: list[tuple[dict[str, Any], str, tuple[Any, ...], tuple[Any, ...]]] = [
    ({"batch": 1}, "float32", (1, 8, 8, 3), (1, 8, 8, 4)),
    ({"io_layout": "nchw"}, "float32", ("batch", 3, 8, 8), ("batch", 4, 8, 8)),
    ({"io_layout": "nhwc"}, "float32", ("batch", 8, 8, 3), ("batch", 8, 8, 4)),
    ({"io_dtype": "float16"}, "float16", ("batch", 8, 8, 3), ("batch", 8, 8, 4)),
    (
        {"io_layout": "nchw", "io_dtype": "float16", "dims": {"batch": 2}},
        "float16",
        (2, 3, 8, 8),
        (2, 4, 8, 8),
    ),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Model]:
    """A convolution and a dense layer on it, with a free batch and with one of 2."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    from taxiway.plugins import Context, registry

    folder = tmp_path_factory.mktemp("ends")

    def network(batch: int | None) -> Any:
        image = keras.Input((8, 8, 3), batch_size=batch, name="image")
        x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="map")(image)
        return keras.Model(image, [keras.layers.Dense(5, name="y")(keras.layers.Flatten()(x)), x])

    found = {}
    for name, batch in (("", None), ("of 2", 2)):
        path = folder / f"model {name}.keras"
        network(batch).save(path)
        found[f"keras{name}"] = describe(path, "keras")
        for before, format in (("keras", "saved_model"), ("saved_model", "tflite")):
            workdir = folder / f"{format}{name}"
            workdir.mkdir()
            plugin = registry().get("converter", f"{before}_to_{format}")
            step: Any = plugin.implementation(before)
            source = found[f"{before}{name}"]
            found[f"{format}{name}"] = step.run(source, plugin.step.Config(), Context(workdir))
    return found


@pytest.mark.parametrize(("before", "target"), WAYS, ids=[f"{a} to {b}" for a, b in WAYS])
@pytest.mark.parametrize(
    ("options", "dtype", "image", "features"), OPTIONS, ids=[str(case[0]) for case in OPTIONS]
)
def test_ends(
    before: str,
    target: str,
    options: dict[str, Any],
    dtype: str,
    image: tuple[Any, ...],
    features: tuple[Any, ...],
    models: Mapping[str, Model],
    convert: Callable[..., Model],
) -> None:
    source = models[before]
    result = convert(source, target, **options)
    by_name = {s.name: s for s in (*result.signature.inputs, *result.signature.outputs)}
    assert (by_name["image"].shape, by_name["map"].shape) == (image, features)
    assert {spec.dtype for spec in by_name.values()} == {dtype}
    assert {s.name for s in result.signature.outputs} == {s.name for s in source.signature.outputs}
    expected, found = (open_runner(m).predict({"image": IMAGES}) for m in (source, result))
    for name, values in expected.items():
        tolerance = 1e-2 if dtype == "float16" else 1e-5
        assert found[name].shape == values.shape
        np.testing.assert_allclose(found[name].astype("f4"), values, tolerance, tolerance)


@pytest.mark.parametrize("target", ["saved_model", "tflite"])
@pytest.mark.parametrize("dims", [{"batch": "dynamic"}, {"batch": 4}], ids=str)
def test_a_fixed_batch_of_a_keras_model_can_be_another(
    target: str, dims: dict[str, Any], models: Mapping[str, Model], convert: Callable[..., Model]
) -> None:
    source = models["kerasof 2"]
    result = convert(source, target, dims=dims)
    size = {"dynamic": "batch"}.get(str(dims["batch"]), dims["batch"])
    assert {s.shape[0] for s in (*result.signature.inputs, *result.signature.outputs)} == {size}
    expected, found = (open_runner(m).predict({"image": IMAGES}) for m in (source, result))
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", ["saved_model", "tflite", "onnx"])
def test_a_traced_batch_is_named_as_what_insists(
    target: str, models: Mapping[str, Model], convert: Callable[..., Model]
) -> None:
    with pytest.raises(StepError, match="the graph insists on it"):
        convert(models["saved_modelof 2"], target, dims={"batch": "dynamic"})


@pytest.mark.parametrize(("opset", "written"), [(None, 18), (13, 13), (17, 17), (21, 21)])
def test_opsets(
    opset: int | None, written: int, models: Mapping[str, Model], convert: Callable[..., Model]
) -> None:
    import onnx

    result = convert(models["saved_model"], "onnx", opset=opset)
    versions = {entry.domain: entry.version for entry in onnx.load(result.path).opset_import}
    assert versions[""] == written


def test_without_options_a_saved_model_is_copied(
    models: Mapping[str, Model], convert: Callable[..., Model]
) -> None:
    from taxiway.execute.digest import digest_tree

    result = convert(models["saved_model"], "saved_model")
    assert digest_tree(result.path) == digest_tree(models["saved_model"].path)
