"""A small project of a user: an ONNX classifier of the digits, its data, and a recipe. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DIGITS = Path(__file__).parents[1] / "recipes" / "data" / "digits.npz"
RECIPE = """\
# A linear classifier of digits, quantized.
defaults:
  - base
  - source: onnx
  - data: npz
  - optimize: [quantize_static]
  - evaluate: classification
  - deploy: onnxruntime_bundle
  - _self_
name: linear
source:
  path: linear.onnx
data:
  path: digits.npz
  scale: 0.0625
  splits:
    calibration: {inputs: x_train}
    test: {inputs: x_test, labels: y_test}
optimize:
  quantize_static:
    calibration: {samples: 64}
evaluate:
  gates:
    accuracy: {max_drop: 2 pt}
    size: {max: 20 KiB}
"""


def write_project(folder: Path) -> Path:
    """Write model, data and recipe; returns the recipe's path.

    The model is a convolution that copies its input, then one Gemm fitted by least squares: it is
    right for about nine of ten test images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(DIGITS) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(folder / "digits.npz", **arrays)
    _write_model(folder / "linear.onnx", arrays["x_train"] / 16.0, arrays["y_train"])
    recipe = folder / "linear.yaml"
    recipe.write_text(RECIPE)
    return recipe


def _write_model(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    flat = np.c_[images.reshape(len(images), -1), np.ones(len(images))]
    weights = np.linalg.lstsq(flat, np.eye(10)[labels], rcond=None)[0].astype(np.float32)
    identity = np.zeros((1, 1, 3, 3), np.float32)
    identity[0, 0, 1, 1] = 1.0
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "identity"], ["copied"], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["copied"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 8, 8, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])],
        [
            numpy_helper.from_array(identity, "identity"),
            numpy_helper.from_array(weights[:-1], "weights"),
            numpy_helper.from_array(weights[-1], "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
