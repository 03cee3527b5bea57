"""What quantization buys on this CPU: a MobileNetV2-size CNN and a 4-layer encoder, in ONNX Runtime.

python benchmarks/quantize_speed.py [--rounds 11]

Both networks are built here with seeded weights (He et al. 2015, initialization), so that nothing is
fetched. One thread; the float model and the quantized ones take turns; medians of the rounds. Exit
code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
from figure import Figure, markdown
from onnx import TensorProto, helper, numpy_helper

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.optimize.quantize.cpu import this_cpu
from taxiway.plugins import Batch, Context, Selection, registry

Array = np.ndarray[Any, Any]
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repeats, stride (Sandler et al. 2018, MobileNetV2, table 2)."""
LAYERS, HIDDEN, HEADS, TOKENS = 4, 384, 6, 128
CALL_SECONDS = 0.15
"""A model runs this long in its turn."""
SAMPLES = 8
"""Random ones: only the speed and the distance to the float model are looked at."""


class Network:
    """An ONNX graph that grows by one operator at a time."""

    def __init__(self, **inputs: list[Any]) -> None:
        self._random = np.random.default_rng(0)
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in inputs.items()
        ]

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [f"{name}_y"], name, **attributes))
        return f"{name}_y"

    def constant(self, values: Array) -> str:
        name = f"c{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        scale = np.sqrt(2 / fan_in)
        return self.constant((self._random.normal(size=shape) * scale).astype(np.float32))

    def conv(self, x: str, into: int, out: int, size: int, stride: int, groups: int = 1) -> str:
        each = into // groups
        kernel = self.weight(out, each, size, size, fan_in=each * size * size)
        bias = self.constant(self._random.normal(size=out).astype(np.float32) * 0.1)
        pads = [size // 2] * 4
        strides = [stride, stride]
        return self.op("Conv", x, kernel, bias, strides=strides, pads=pads, group=groups)

    def save(self, path: Path, output: str, shape: list[Any]) -> Model:
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self._nodes, "network", self._inputs, [y], self._tensors)
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
        return describe(path, "onnx")


def mobilenet(path: Path) -> Model:
    """MobileNetV2 1.0 at 224x224, batch normalization folded: 3.5 million weights."""
    net = Network(image=["batch", 3, 224, 224])
    zero, six = net.constant(np.float32(0)), net.constant(np.float32(6))

    def relu6(x: str) -> str:
        return net.op("Clip", x, zero, six)

    x, channels = relu6(net.conv("image", 3, 32, 3, 2)), 32
    for expansion, out, repeats, first in STAGES:
        for index in range(repeats):
            wide, stride = channels * expansion, first if index == 0 else 1
            y = relu6(net.conv(x, channels, wide, 1, 1)) if expansion > 1 else x
            y = relu6(net.conv(y, wide, wide, 3, stride, groups=wide))
            y = net.conv(y, wide, out, 1, 1)
            x = net.op("Add", x, y) if stride == 1 and channels == out else y
            channels = out
    x = net.op("GlobalAveragePool", relu6(net.conv(x, channels, 1280, 1, 1)))
    bias = net.constant(np.zeros(1000, np.float32))
    x = net.op("Gemm", net.op("Flatten", x), net.weight(1280, 1000, fan_in=1280), bias)
    return net.save(path, x, ["batch", 1000])


def encoder(path: Path) -> Model:
    """Four pre-norm transformer layers (Vaswani et al. 2017) with GELU: 7.1 million weights."""
    net = Network(tokens=["batch", TOKENS, HIDDEN])
    split = net.constant(np.array([0, 0, HEADS, HIDDEN // HEADS]))
    joined = net.constant(np.array([0, 0, HIDDEN]))
    scale = net.constant(np.float32((HIDDEN // HEADS) ** -0.5))
    half, one = net.constant(np.float32(0.5)), net.constant(np.float32(1))
    root = net.constant(np.float32(2**0.5))

    def dense(x: str, into: int, out: int) -> str:
        bias = net.constant(np.zeros(out, np.float32))
        return net.op("Add", net.op("MatMul", x, net.weight(into, out, fan_in=2 * into)), bias)

    def norm(x: str) -> str:
        ones = net.constant(np.ones(HIDDEN, np.float32))
        return net.op(
            "LayerNormalization", x, ones, net.constant(np.zeros(HIDDEN, np.float32)), axis=-1
        )

    def heads(x: str, perm: list[int]) -> str:
        return net.op("Transpose", net.op("Reshape", x, split), perm=perm)

    def gelu(x: str) -> str:
        inner = net.op("Add", net.op("Erf", net.op("Div", x, root)), one)
        return net.op("Mul", net.op("Mul", x, inner), half)

    x = "tokens"
    for _ in range(LAYERS):
        y = norm(x)
        q, v = (heads(dense(y, HIDDEN, HIDDEN), [0, 2, 1, 3]) for _ in range(2))
        k = heads(dense(y, HIDDEN, HIDDEN), [0, 2, 3, 1])
        seen = net.op("Softmax", net.op("Mul", net.op("MatMul", q, k), scale), axis=-1)
        y = net.op("Transpose", net.op("MatMul", seen, v), perm=[0, 2, 1, 3])
        x = net.op("Add", x, dense(net.op("Reshape", y, joined), HIDDEN, HIDDEN))
        y = dense(gelu(dense(norm(x), HIDDEN, 4 * HIDDEN)), 4 * HIDDEN, HIDDEN)
        x = net.op("Add", x, y)
    return net.save(path, x, ["batch", TOKENS, HIDDEN])


class Rows:
    """A dataset of one input over an array in memory."""

    class_names = None
    preprocessing: dict[str, Any] = {}

    def __init__(self, rows: Array) -> None:
        self._rows = rows

    def count(self, selection: Selection) -> int:
        return min(len(self._rows), selection.samples or len(self._rows))

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        rows = self._rows[: self.count(selection)]
        for start in range(0, len(rows), size):
            yield Batch({"input": rows[start : start + size]}, None)


def optimized(model: Model, name: str, rows: Array, folder: Path, **options: Any) -> Model:
    plugin = registry().get("optimize", name)
    step = plugin.implementation("onnx")
    config = msgspec.convert(options, plugin.step.Config)
    workdir = Path(tempfile.mkdtemp(dir=folder))
    made: Model = step.run(model, config, Context(workdir=workdir, data=Rows(rows)))
    return made


def session(model: Model) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.path, options, providers=["CPUExecutionProvider"])


def medians(models: dict[str, Model], x: Array, rounds: int) -> dict[str, float]:
    """Milliseconds of one call by model; they take turns within each round."""
    sessions = {name: session(model) for name, model in models.items()}
    feeds = {model.signature.inputs[0].name: x for model in models.values()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for each in sessions.values():
        each.run(None, feeds)
    for _ in range(rounds):
        for name, each in sessions.items():
            calls, start = 0, time.perf_counter()
            while time.perf_counter() - start < CALL_SECONDS:
                each.run(None, feeds)
                calls += 1
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: 1000 * float(np.median(values)) for name, values in seconds.items()}


def cosine(a: Model, b: Model, x: Array) -> float:
    first, second = (
        session(model).run(None, {model.signature.inputs[0].name: x})[0].ravel() for model in (a, b)
    )
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def cnn(folder: Path, random: np.random.Generator, rounds: int) -> Iterator[Figure]:
    model = mobilenet(folder / "cnn.onnx")
    x = random.normal(size=(SAMPLES, 3, 224, 224)).astype(np.float32)
    calibration = {"samples": SAMPLES}
    variants = {
        "static int8": ("quantize_static", {"calibration": calibration}),
        "static int8, a scale per tensor": (
            "quantize_static",
            {"calibration": calibration, "granularity": "per_tensor"},
        ),
        "static int8, u8u8": ("quantize_static", {"calibration": calibration, "integers": "u8u8"}),
        "static int8, s8s8": ("quantize_static", {"calibration": calibration, "integers": "s8s8"}),
        "8-bit weights": ("quantize_weights", {}),
        "float16": ("float16", {}),
    }
    yield from compared(model, variants, x, folder, rounds, ("CNN", "static int8", 1.35))


def transformer(folder: Path, random: np.random.Generator, rounds: int) -> Iterator[Figure]:
    model = encoder(folder / "encoder.onnx")
    x = random.normal(size=(SAMPLES, TOKENS, HIDDEN)).astype(np.float32)
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "dynamic int8": ("quantize_dynamic", {}),
        "static int8": ("quantize_static", {"calibration": {"samples": SAMPLES}}),
        "8-bit weights": ("quantize_weights", {}),
        "8-bit weights, blocks of 32": ("quantize_weights", {"block": 32}),
        "4-bit weights, blocks of 32": ("quantize_weights", {"bits": 4}),
        "4-bit weights, blocks of 32, zero points": (
            "quantize_weights",
            {"bits": 4, "symmetric": False},
        ),
        "int16 activations": ("quantize_int16", {"calibration": {"samples": SAMPLES}}),
    }
    yield from compared(model, variants, x, folder, rounds, ("encoder", "dynamic int8", 1.25))


def compared(
    model: Model,
    variants: dict[str, tuple[str, dict[str, Any]]],
    x: Array,
    folder: Path,
    rounds: int,
    bar: tuple[str, str, float],
) -> Iterator[Figure]:
    """Prints a row per variant, and gives the figure that has a bar: name, variant, speed-up."""
    models = {"float32": model}
    for label, (name, options) in variants.items():
        models[label] = optimized(model, name, x, folder, **options)
    found = medians(models, x[:1], rounds)
    what, judged, limit = bar
    print(f"{what}: milliseconds, speed-up, size / float32, cosine to float32's output")
    for label, made in models.items():
        ratio = found["float32"] / found[label]
        near = cosine(model, made, x[:1])
        share = made.size / model.size
        print(f"  {label:42} {found[label]:7.2f} {ratio:5.2f}x {share:5.2f} {near:8.5f}")
    yield Figure(
        f"{what}, {judged}: speed-up over float32",
        found["float32"] / found[judged],
        "at least",
        limit,
        "x",
        detail=f"{rounds} rounds, 1 thread",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    random = np.random.default_rng(1)
    print(f"integer types of this CPU: {this_cpu()}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        figures = [*cnn(folder, random, rounds), *transformer(folder, random, rounds)]
    print(markdown(figures))
    return int(not all(figure.passed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
