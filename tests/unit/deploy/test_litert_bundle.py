from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from taxiway.data.npz import Npz
from taxiway.deploy.litert_bundle import LiteRTBundle
from taxiway.deploy.verify import verify
from taxiway.model.inspect import describe
from taxiway.plugins import Context, Dataset


@pytest.mark.parametrize("name", ["vendor_int8.tflite", "vendor_float32.tflite"])
def test_keyword_spotting(tmp_path: Path, mlperf_tiny: Path, name: str) -> None:
    options = {
        "type": "npz",
        "path": str(mlperf_tiny / "kws/samples.npz"),
        "inputs": "mfcc",
        "labels": "label",
    }
    data = Npz().open(msgspec.convert(options, Npz.Config), 0)
    LiteRTBundle().run(
        describe(mlperf_tiny / "kws" / name, "tflite"),
        LiteRTBundle.Config(),
        Context(workdir=tmp_path, data=data, recipe={"name": "kws"}),
    )
    assert verify(tmp_path)["name"] == "kws"
    command = [sys.executable, "-B", str(tmp_path / "run.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "16 golden samples are bit-equal" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
def test_two_inputs(tmp_path: Path, open_data: Callable[..., Dataset], int8: bool) -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    left, right = keras.Input((4,), name="left"), keras.Input((3, 2), name="right")
    joined = keras.layers.Concatenate()([left, keras.layers.Flatten()(right)])
    scores = keras.layers.Dense(3, activation="softmax")(joined)
    network = keras.Model([left, right], [scores, keras.layers.Dense(2)(joined)])
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.random((20, 4), dtype=np.float32),
        "b": rng.random((20, 3, 2), dtype=np.float32),
    }
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            {"left": a[None], "right": b[None]} for a, b in zip(*arrays.values(), strict=True)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    model = describe(tmp_path / "m.tflite", "tflite")
    assert model.signature.inputs[0].quantized is int8
    folder = tmp_path / "b"
    folder.mkdir()
    data = open_data(arrays, inputs={"left": "a", "right": "b"})
    LiteRTBundle().run(model, LiteRTBundle.Config(), Context(workdir=folder, data=data))
    verify(folder)
    signature = json.loads((folder / "signature.json").read_text())
    assert [spec["name"] for spec in signature["inputs"]] == ["left", "right"]
