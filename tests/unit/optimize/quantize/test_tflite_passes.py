"""Every pass on real TFLite classifiers: what it changes, what it keeps, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner

pytestmark = pytest.mark.slow

CASES = [
    ("quantize_static", {}, "int8"),
    ("quantize_static", {"granularity": "per_tensor"}, "int8"),
    ("quantize_static", {"io_dtype": "float32"}, "float32"),
    ("quantize_static", {"symmetric": True}, "int8"),
    ("quantize_static", {"calibration": {"method": "percentile"}}, "int8"),
    ("quantize_static", {"calibration": {"method": "entropy"}}, "int8"),
    ("quantize_int16", {}, "int16"),
    ("quantize_int16", {"io_dtype": "float32", "granularity": "per_tensor"}, "float32"),
    ("quantize_dynamic", {}, "float32"),
    ("quantize_dynamic", {"granularity": "per_tensor"}, "float32"),
    ("quantize_weights", {}, "float32"),
    ("quantize_weights", {"block": 16}, "float32"),
    ("quantize_weights", {"bits": 4}, "float32"),
    ("quantize_weights", {"bits": 4, "symmetric": False}, "float32"),
    ("float16", {}, "float32"),
]
IDS = [f"{name} {options or ''}" for name, options, _ in CASES]


@pytest.mark.parametrize(("name", "options", "io"), CASES, ids=IDS)
def test_a_pass_keeps_the_accuracy_names_and_shapes(
    name: str,
    options: dict[str, Any],
    io: str,
    tflite_mlp: Model,
    data: Any,
    optimize: Any,
    accuracy: Any,
) -> None:
    result = optimize(tflite_mlp, name, data, **options)
    before, after = tflite_mlp.signature, result.signature
    for old, new in zip(before.inputs + before.outputs, after.inputs + after.outputs, strict=True):
        assert (new.name, new.shape, new.dtype) == (old.name, old.shape, io)
    assert result.size < tflite_mlp.size
    assert accuracy(result) == pytest.approx(accuracy(tflite_mlp), abs=0.015)
    again = optimize(tflite_mlp, name, data, **options)
    assert again.path.read_bytes() == result.path.read_bytes()


@pytest.mark.parametrize("name", ["quantize_static", "quantize_dynamic"])
def test_a_quantized_model_is_refused(
    name: str, tflite_mlp: Model, data: Any, optimize: Any
) -> None:
    quantized = optimize(tflite_mlp, "quantize_dynamic")
    with pytest.raises(StepError, match="quantized already"):
        optimize(quantized, name, data)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("quantize_static", {"integers": "u8s8"}, "onnx only"),
        ("quantize_weights", {"block": 32, "symmetric": False}, "block needs symmetric"),
    ],
    ids=["integer types", "asymmetric blocks"],
)
def test_options_that_cannot_work_are_a_plan_time_error(
    name: str, options: dict[str, Any], told: str, tflite_mlp: Model, data: Any, optimize: Any
) -> None:
    with pytest.raises(ValueError, match=told):
        optimize(tflite_mlp, name, data, **options)


def test_a_file_without_a_signature_is_calibrated_too(
    tflite_mlp: Model, data: Any, optimize: Any, accuracy: Any, tmp_path: Path
) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(tflite_mlp.path.read_bytes()))
    parsed.signatureDefs = []
    bare_path = tmp_path / "bare.tflite"
    bare_path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))
    bare = describe(bare_path, "tflite")
    assert bare.signature != tflite_mlp.signature
    result = optimize(bare, "quantize_static", data)
    assert [spec.name for spec in result.signature.inputs] == [
        spec.name for spec in bare.signature.inputs
    ]
    assert accuracy(result) == pytest.approx(accuracy(bare), abs=0.015)


@pytest.mark.parametrize("name", ["quantize_static", "quantize_dynamic", "float16"])
def test_a_model_without_weights_is_an_error(
    name: str, data: Any, optimize: Any, tmp_path: Path
) -> None:
    import tensorflow as tf

    function = tf.function(
        lambda pixels: {"y": tf.sin(pixels)},
        input_signature=[tf.TensorSpec([None, 64], tf.float32, "pixels")],
    )
    module = tf.Module()
    signature = function.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "sm"), signatures=signature)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "sm"))
    (tmp_path / "sin.tflite").write_bytes(converter.convert())
    with pytest.raises(StepError, match="nothing was quantized"):
        optimize(describe(tmp_path / "sin.tflite", "tflite"), name, data)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("samples", [64, 256])
def test_keyword_spotting_in_int8_beats_the_reference(
    samples: int, seed: int, mlperf_tiny: Path, array_dataset: Any, optimize: Any, tmp_path: Path
) -> None:
    """MLPerf Tiny's own int8 model gets 90.2 % of these samples right."""
    import tensorflow as tf

    folder = mlperf_tiny / "kws"
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model")).convert()
    (tmp_path / "kws.tflite").write_bytes(content)
    arrays = np.load(folder / "samples.npz")
    inputs, labels = arrays["mfcc"].reshape(-1, 49, 10, 1), arrays["label"]
    order = np.random.default_rng(seed).permutation(len(inputs))
    model = describe(tmp_path / "kws.tflite", "tflite")
    calibration = array_dataset(mfcc=inputs[order])
    result = optimize(model, "quantize_static", calibration, calibration={"samples": samples})
    (values,) = open_runner(result).predict({"mfcc": inputs}).values()
    assert (values.argmax(1) == labels).mean() >= 0.902
