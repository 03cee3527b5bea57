"""A small ONNX classifier, a dataset for it, and a bundle of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.data.npz import Npz
from taxiway.deploy.onnxruntime_bundle import OnnxRuntimeBundle
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Context, Dataset


@pytest.fixture
def open_data(tmp_path: Path) -> Callable[..., Dataset]:
    """Opens arrays as a dataset whose test split is all of `x`, in order."""

    def open_(arrays: dict[str, Any], **options: Any) -> Dataset:
        np.savez(tmp_path / "data.npz", **arrays)
        base = {"type": "npz", "path": str(tmp_path / "data.npz"), "labels": None}
        splits = {"splits": {"test": {"rows": ":"}}}
        return Npz().open(msgspec.convert({**base, **splits, **options}, Npz.Config), 0)

    return open_


@pytest.fixture
def save_onnx(tmp_path: Path) -> Callable[..., Model]:
    """Saves a graph of nodes as an ONNX model; weights are initializers by name."""

    def save(nodes: list[Any], inputs: list[Any], outputs: list[Any], **weights: Any) -> Model:
        tensors = [
            numpy_helper.from_array(np.asarray(w, np.float32), n) for n, w in weights.items()
        ]
        graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
        path = tmp_path / "model.onnx"
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
        return describe(path, "onnx")

    return save


@pytest.fixture
def classifier(save_onnx: Callable[..., Model]) -> Model:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"]),
    ]
    weights = np.random.default_rng(1).normal(size=(4, 3))
    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.FLOAT, ["n", 4])]
    outputs = [value("p", TensorProto.FLOAT, ["n", 3])]
    return save_onnx(nodes, inputs, outputs, w=weights)


@pytest.fixture
def samples(open_data: Callable[..., Dataset]) -> Dataset:
    raw = np.arange(80, dtype=np.uint8).reshape(20, 4)
    return open_data({"x": raw}, scale=0.01, class_names=["zero", "o|ne", "two"])


@pytest.fixture
def bundle(tmp_path: Path, classifier: Model, samples: Dataset) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    options = OnnxRuntimeBundle.Config(name="tiny", golden_samples=5)
    OnnxRuntimeBundle().run(classifier, options, Context(workdir=folder, data=samples))
    return folder
