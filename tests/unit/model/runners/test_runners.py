"""Each runtime on real models: any number of samples, real values in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from taxiway.errors import StepError
from taxiway.model import Model, Signature
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner, runtime_of


def onnx_model(path: Path, batch: int | None) -> Model:
    """y = x @ w + ids, with an integer and a float input."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Cast", ["ids"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["product", "real"], ["y"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3]),
            helper.make_tensor_value_info("ids", TensorProto.INT32, [batch, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0, 2, 3, 4, 5, 6])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return describe(path, "onnx")


@pytest.mark.parametrize("batch", [None, 1, 4])
@pytest.mark.parametrize("n", [1, 4, 7])
def test_onnx(tmp_path: Path, batch: int | None, n: int) -> None:
    runner = open_runner(onnx_model(tmp_path / "m.onnx", batch), threads=2)
    x = np.random.default_rng(0).normal(size=(n, 3))
    ids = np.arange(n * 2).reshape(n, 2)
    y = runner.predict({"ids": ids, "x": x})["y"]
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, x @ [[1, 2], [3, 4], [5, 6]] + ids, rtol=1e-5)


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_unloadable(tmp_path: Path, format: str) -> None:
    (tmp_path / "m").write_bytes(b"\0\0\0\0TFL3 nothing")
    model = Model(format=format, path=tmp_path / "m", signature=Signature(inputs=(), outputs=()))
    with pytest.raises(StepError, match=f"{runtime_of(format)} cannot load m"):
        open_runner(model)


@pytest.mark.parametrize("name", ["vendor_int8", "vendor_float32"])
def test_litert_reference_accuracy(mlperf_tiny: Path, name: str) -> None:
    """The benchmark's own figure (90 % and more) from real-valued features."""
    runner = open_runner(describe(mlperf_tiny / f"kws/{name}.tflite", "tflite"))
    samples = np.load(mlperf_tiny / "kws/samples.npz")
    (scores,) = runner.predict({"mfcc": samples["mfcc"]}).values()
    assert scores.shape == (1000, 12)
    assert (scores.argmax(axis=1) == samples["label"]).mean() >= 0.9
    single = runner.predict({"mfcc": samples["mfcc"][:1]})
    np.testing.assert_array_equal(next(iter(single.values())), scores[:1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("kws/saved_model", "saved_model"),
        ("ic/resnet8.h5", "keras"),
        ("vww/mobilenet_v1_025_96.h5", "keras"),
    ],
)
def test_tensorflow_reference(mlperf_tiny: Path, name: str, format: str) -> None:
    model = describe(mlperf_tiny / name, format)
    x = np.random.default_rng(0).random((3, *model.signature.inputs[0].shape[1:]))
    (scores,) = open_runner(model).predict({"x": x}).values()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def reshape_to_one(tf: Any) -> Any:
    return lambda x: tf.reshape(tf.reshape(x, [1, 4])[:, ::-1], [1, 2, 2])


def ordinary(tf: Any) -> Any:
    return lambda x: tf.reshape(x[:, ::-1], [-1, 2, 2])


@pytest.mark.slow
@pytest.mark.parametrize("signature", [True, False], ids=["signature", "tensors"])
@pytest.mark.parametrize(
    ("body", "batch"),
    [(ordinary, None), (ordinary, 1), (ordinary, 3), (reshape_to_one, None), (reshape_to_one, 1)],
)
def test_litert_batches(tmp_path: Path, signature: bool, body: Any, batch: int | None) -> None:
    """Free and fixed batch axes, and a free one that a Reshape inside contradicts."""
    import tensorflow as tf

    function = tf.function(
        body(tf), input_signature=[tf.TensorSpec([batch, 4], tf.float32, name="x")]
    )
    if signature:
        module = tf.Module()
        module.f = function
        tf.saved_model.save(module, str(tmp_path / "m"), signatures=function)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "m"))
    else:
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()]
        )
    path = tmp_path / "m.tflite"
    path.write_bytes(converter.convert())
    x = np.arange(20, dtype="f4").reshape(5, 4)
    (y,) = open_runner(describe(path, "tflite")).predict({"x": x}).values()
    np.testing.assert_array_equal(y, x[:, ::-1].reshape(5, 2, 2))


@pytest.mark.slow
def test_keras_text_input(tmp_path: Path) -> None:
    import keras

    text = keras.Input((), dtype="string", name="text")
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])
    keras.Model(text, lookup(text)).save(tmp_path / "m.keras")
    runner = open_runner(describe(tmp_path / "m.keras", "keras"))
    (ids,) = runner.predict({"text": np.array(["b", "?", "a"])}).values()
    assert ids.tolist() == [2, 0, 1]
