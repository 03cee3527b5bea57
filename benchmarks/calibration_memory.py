"""Memory of a calibration: flat in the number of samples, for both formats and every method.

python benchmarks/calibration_memory.py [--samples 10000] [--formats onnx tflite]

A stream of made-up images of 224x224x3 float32 (150,528 values, 602 kB each) goes through
quantize_static of a small CNN, in a process of its own whose peak is read (getrusage). `minmax` gets
all samples, and a tenth of them; the methods of histograms, on ONNX only, a tenth. Exit code 1 where
a peak is above 1.5 GB, or where ten times the samples cost more than 50 MB, which threads and
allocators make of themselves.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from figure import Figure, markdown

SIZE = 224
BAR_GB, GROWTH_GB = 1.5, 0.05
HISTOGRAMS = ("percentile", "distribution", "entropy")


class Stream:
    """Images that are made when they are read."""

    class_names = None
    preprocessing: dict[str, Any] = {}

    def __init__(self, samples: int) -> None:
        self._samples = samples

    def count(self, selection: Any) -> int:
        return min(self._samples, selection.samples or self._samples)

    def fingerprint(self, selection: Any) -> str:
        return ""

    def batches(self, selection: Any, size: int) -> Iterator[Any]:
        from taxiway.plugins import Batch

        random = np.random.default_rng(0)
        for start in range(0, self.count(selection), size):
            rows = min(size, self.count(selection) - start)
            images = random.random((rows, SIZE, SIZE, 3), np.float32)
            yield Batch({"image": images}, None)


def make_onnx(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    tensors, nodes, x, channels = [], [], "t", 3
    nodes.append(helper.make_node("Transpose", ["image"], ["t"], perm=[0, 3, 1, 2]))
    for index, out in enumerate((16, 32, 32, 64)):
        kernel = random.normal(size=(out, channels, 3, 3)).astype(np.float32) * 0.2
        tensors.append(numpy_helper.from_array(kernel, f"w{index}"))
        conv = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [x, f"w{index}"], [f"c{index}"], **conv))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"]))
        x, channels = f"r{index}", out
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["y"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", channels, 1, 1])
    graph = helper.make_graph(nodes, "cnn", [image], [y], tensors)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def make_tflite(path: Path) -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    layers: list[Any] = [keras.layers.Input((SIZE, SIZE, 3), name="image")]
    for out in (16, 32, 32, 64):
        layers.append(keras.layers.Conv2D(out, 3, 2, "same", activation="relu"))
    layers.append(keras.layers.GlobalAveragePooling2D())
    model = keras.Sequential(layers)
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def calibrate(path: Path, samples: int, method: str) -> None:
    """Quantize the model in this process, and print its peak in bytes before and after."""
    import msgspec

    from taxiway.model.inspect import describe
    from taxiway.plugins import Context, registry

    plugin = registry().get("optimize", "quantize_static")
    form = path.suffix[1:]
    options = {"calibration": {"samples": samples, "method": method}}
    with tempfile.TemporaryDirectory() as folder:
        step, model = plugin.implementation(form), describe(path, form)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        config = msgspec.convert(options, plugin.step.Config)
        step.run(model, config, Context(workdir=Path(folder), data=Stream(samples)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"before": before, "after": after}))


def peak(path: Path, samples: int, method: str) -> float:
    """Peak of a calibration in a process of its own, in GB."""
    command = [sys.executable, __file__, "--measure", str(path), method, "--samples", str(samples)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = json.loads(said.splitlines()[-1])
    gigabytes = float(found["after"]) / 1e9
    start = float(found["before"]) / 1e9
    print(
        f"{path.suffix[1:]:7} {method:13} {samples:6} samples: {gigabytes:.3f} GB "
        f"(before it: {start:.3f})",
        flush=True,
    )
    return gigabytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--formats", nargs="+", default=["onnx", "tflite"])
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        {".onnx": make_onnx, ".tflite": make_tflite}[given.make.suffix](given.make)
        return 0
    if given.measure:
        calibrate(Path(given.measure[0]), given.samples, given.measure[1])
        return 0
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        for form in given.formats:
            path = Path(scratch) / f"cnn.{form}"
            subprocess.run([sys.executable, __file__, "--make", str(path)], check=True)
            tenth = peak(path, given.samples // 10, "minmax")
            whole = peak(path, given.samples, "minmax")
            methods = HISTOGRAMS if form == "onnx" else ()
            highest = max([whole, *(peak(path, given.samples // 10, name) for name in methods)])
            figures += [
                Figure(f"{form}: peak of a calibration", highest, "at most", BAR_GB, "GB"),
                Figure(
                    f"{form}: growth by ten times the samples",
                    whole - tenth,
                    "at most",
                    GROWTH_GB,
                    "GB",
                    digits=3,
                ),
            ]
    print(markdown(figures))
    return int(not all(figure.passed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
