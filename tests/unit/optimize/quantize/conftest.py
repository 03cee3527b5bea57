"""Digits as a dataset, and small classifiers of them in ONNX and TFLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Batch, Context, Selection, registry

Array = np.ndarray[Any, Any]


class ArrayDataset:
    """Arrays in memory as the `calibration` split; remembers which rows were read."""

    class_names = None
    preprocessing: dict[str, Any] = {}

    def __init__(self, **inputs: Array) -> None:
        self.inputs = inputs
        self.reads: list[tuple[str, int]] = []

    def count(self, selection: Selection) -> int:
        rows = len(next(iter(self.inputs.values())))
        return rows if selection.samples is None else min(rows, selection.samples)

    def fingerprint(self, selection: Selection) -> str:
        return "fixed"

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        count = self.count(selection)
        for start in range(0, count, size):
            stop = min(start + size, count)
            self.reads.append((selection.split, stop - start))
            yield Batch({name: array[start:stop] for name, array in self.inputs.items()}, None)


@pytest.fixture(scope="session")
def digits() -> tuple[Array, Array]:
    """Images [1797, 64] from 0 to 1 and labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return (images / 16).astype(np.float32), labels


@pytest.fixture
def array_dataset() -> type[ArrayDataset]:
    return ArrayDataset


@pytest.fixture
def data(digits: tuple[Array, Array]) -> ArrayDataset:
    return ArrayDataset(pixels=digits[0][:1000])


@pytest.fixture(scope="session")
def weights(digits: tuple[Array, Array]) -> list[tuple[Array, Array]]:
    """Kernels and biases of a trained MLP with one hidden layer."""
    from sklearn.neural_network import MLPClassifier

    images, labels = digits
    network = MLPClassifier((32,), random_state=0, max_iter=60).fit(images[:1000], labels[:1000])
    return [
        (kernel.astype(np.float32), bias.astype(np.float32))
        for kernel, bias in zip(network.coefs_, network.intercepts_, strict=True)
    ]


@pytest.fixture(scope="session")
def onnx_mlp(weights: list[tuple[Array, Array]], tmp_path_factory: pytest.TempPathFactory) -> Model:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "pixels"
    for index, (kernel, bias) in enumerate(weights):
        constants += [
            numpy_helper.from_array(kernel, f"w{index}"),
            numpy_helper.from_array(bias, f"b{index}"),
        ]
        nodes.append(helper.make_node("MatMul", [name, f"w{index}"], [f"m{index}"]))
        last = index + 1 == len(weights)
        name = "scores" if last else f"a{index}"
        nodes.append(helper.make_node("Add", [f"m{index}", f"b{index}"], [name]))
        if not last:
            nodes.append(helper.make_node("Relu", [name], [f"r{index}"]))
            name = f"r{index}"
    x = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])
    y = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, "mlp", [x], [y], constants)
    path = tmp_path_factory.mktemp("onnx") / "mlp.onnx"
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return describe(path, "onnx")


@pytest.fixture(scope="session")
def tflite_mlp(
    weights: list[tuple[Array, Array]], tmp_path_factory: pytest.TempPathFactory
) -> Model:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec([None, 64], tf.float32, "pixels")

    @tf.function(input_signature=[spec])
    def scores(pixels: Any) -> dict[str, Any]:
        (w0, b0), (w1, b1) = weights
        return {"scores": tf.nn.relu(pixels @ w0 + b0) @ w1 + b1}

    function = scores.get_concrete_function()
    folder = tmp_path_factory.mktemp("tflite")
    tf.saved_model.save(module, str(folder / "m"), signatures=function)
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "m")).convert()
    (folder / "mlp.tflite").write_bytes(content)
    return describe(folder / "mlp.tflite", "tflite")


@pytest.fixture
def optimize(tmp_path: Path) -> Any:
    """`optimize(model, name, data, **options)`: one pass in a folder of its own."""

    def run(model: Model, name: str, data: Any = None, progress: Any = None, **options: Any) -> Any:
        plugin = registry().get("optimize", name)
        config = msgspec.convert(options, plugin.step.Config)
        step = plugin.implementation(model.format)
        step.check(config)
        workdir = tmp_path / str(len(list(tmp_path.iterdir())))
        workdir.mkdir()
        extra = {"progress": progress} if progress else {}
        return step.run(model, config, Context(workdir=workdir, data=data, **extra))

    return run


@pytest.fixture(scope="session")
def accuracy(digits: tuple[Array, Array]) -> Any:
    """Accuracy on the digits that trained nothing."""

    def measure(model: Model) -> float:
        images, labels = digits[0][1000:], digits[1][1000:]
        (values,) = open_runner(model).predict({"pixels": images}).values()
        return float((values.argmax(1) == labels).mean())

    return measure
