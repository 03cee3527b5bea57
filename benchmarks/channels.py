"""Channel pruning against its bars: how much faster a pruned network is, and what it loses.

python benchmarks/channels.py --mnist FOLDER

FOLDER holds mnist.keras (LeNet-5 of Han et al. 2015) and mnist.npz, as
`recipes/train_mnist.py PACKAGE --full FOLDER` makes them. Real recipes prune the Keras model, train it, and
convert it to ONNX and to TFLite; latencies are medians of interleaved calls on one thread, accuracies are on
the 2,000 test rows. The models of TAXIWAY_MLPERF_TINY, where it is set, are cut without training: their
accuracy is lost, and what is measured is the work, the speed, and that the cut is exact. Exit code 1 where a
bar is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from figure import Figure, markdown

import taxiway
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Context, registry

Array = np.ndarray[Any, Any]
CALLS, ROUNDS = 40, 15
TARGETS = {"onnx": "ONNX Runtime", "tflite": "LiteRT"}
RECIPE = """\
defaults:
  - base
  - source: keras
  - data: npz
  - convert: {target}
  - optimize: [{passes}]
  - evaluate: classification
  - _self_
ledger: null
calibration: null
name: bench_channels
source: {{path: mnist.keras}}
data:
  path: mnist.npz
  scale: 0.00392156862745098
  splits:
    train: {{inputs: x_train, labels: y_train}}
    validation: {{inputs: x_validation, labels: y_validation}}
    test: {{inputs: x_test, labels: y_test}}
{options}
evaluate: {{latency_samples: 5}}
"""
CHANNELS = """\
optimize:
  prune_channels:
    target: {macs: 0.85}
    round_to: 4
    importance: l1
    training: {epochs: 8, learning_rate: 1.0e-3, validation: validation, patience: 8}
"""
ZEROS = """\
optimize:
  prune_magnitude:
    sparsity: 0.8
    training: {epochs: 8, learning_rate: 1.0e-3, validation: validation, patience: 8}
"""


def run(folder: Path, target: str, passes: str, options: str) -> Any:
    """The result of a recipe in `folder`, with every step's record."""
    path = folder / f"{passes or 'none'}_{target}.yaml"
    path.write_text(RECIPE.format(target=target, passes=passes, options=options))
    return taxiway.load(path).run(output=folder / "runs", store=folder / "store")


def interleaved(
    models: Mapping[str, Path], format: str, inputs: Mapping[str, Array]
) -> dict[str, float]:
    """Median seconds of one call for each model, one thread, in turns."""
    runners = {name: open_runner(describe(path, format), 1) for name, path in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for runner in runners.values():
        for _ in range(CALLS):
            runner.predict(inputs)
    for _ in range(ROUNDS):
        for name, runner in runners.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                runner.predict(inputs)
            taken[name].append((time.perf_counter() - start) / CALLS)
    return {name: statistics.median(times) for name, times in taken.items()}


def accuracy(path: Path, format: str, rows: Array, labels: Array) -> float:
    runner = open_runner(describe(path, format), 1)
    (scores,) = runner.predict({runner.signature.inputs[0].name: rows}).values()
    return float((scores.argmax(1) == labels).mean())


def mnist(source: Path, folder: Path) -> Iterator[Figure]:
    """LeNet-5 on digits, pruned and trained by recipes, in both formats."""
    for name in ("mnist.keras", "mnist.npz"):
        shutil.copyfile(source / name, folder / name)
    with np.load(source / "mnist.npz") as archive:
        rows = archive["x_test"].astype(np.float32) / np.float32(255)
        labels = archive["y_test"]
    rows = rows.reshape(len(rows), 28, 28, *rows.shape[3:])
    variants = {"float": ("", ""), "channels": ("prune_channels", CHANNELS)}
    if "prune_magnitude" in registry().section("optimize"):
        variants["zeros"] = ("prune_magnitude", ZEROS)
    for target, runtime in TARGETS.items():
        results = {name: run(folder, target, *what) for name, what in variants.items()}
        models = {name: result.artifact for name, result in results.items()}
        right = {name: accuracy(path, target, rows, labels) for name, path in models.items()}
        name = describe(models["float"], target).signature.inputs[0].name
        seconds = interleaved(models, target, {name: rows[:1]})
        sizes = {name: path.stat().st_size for name, path in models.items()}
        told = results["channels"].told["optimize.prune_channels"]["channels"]
        print(f"{runtime}: layers {told['layers']}")
        for name in variants:
            print(
                f"{runtime}, {name}: {seconds[name] * 1e6:.1f} us, accuracy {right[name]:.4f}, "
                f"{sizes[name]:,} bytes"
            )
        macs, parameters = (before / after for before, after in (told["macs"], told["parameters"]))
        yield Figure(
            f"LeNet-5 on {runtime}, channels pruned: times as fast",
            seconds["float"] / seconds["channels"],
            "at least",
            2.0,
            "x",
            detail=f"{macs:.1f}x fewer MACs, {parameters:.1f}x fewer parameters",
        )
        yield Figure(
            f"LeNet-5 on {runtime}, channels pruned: accuracy lost",
            100 * (right["float"] - right["channels"]),
            "at most",
            0.5,
            "pt",
            detail=f"{right['float']:.4f} -> {right['channels']:.4f} on {len(labels):,} rows",
        )
        if "zeros" in variants:
            print(
                f"{runtime}, 80 % zeros: {seconds['float'] / seconds['zeros']:.2f}x as fast, "
                f"{100 * (right['float'] - right['zeros']):.2f} pt lost"
            )


def exact(folder: Path) -> Iterator[Figure]:
    """Real ONNX models with residual sums and depthwise convolutions, cut by half: work, speed, proof."""
    root = os.environ.get("TAXIWAY_MLPERF_TINY")
    models = {
        "ResNet8": ("keras", "ic/resnet8.h5"),
        "MobileNetV1": ("keras", "vww/mobilenet_v1_025_96.h5"),
        "DS-CNN": ("saved_model", "kws/saved_model"),
    }
    for name, (format, path) in models.items() if root else ():
        model = in_onnx(describe(Path(root or "") / path, format), folder)
        told: dict[str, Any] = {}
        pruned = cut(model, folder, told, share=0.5)
        random = np.random.default_rng(0)
        spec = model.signature.inputs[0]
        shape = tuple(size if isinstance(size, int) else 1 for size in spec.shape)
        inputs = {spec.name: random.normal(size=(1, *shape[1:])).astype(np.float32)}
        seconds = interleaved({"whole": model.path, "cut": pruned.path}, "onnx", inputs)
        macs, parameters = (told["macs"], told["parameters"])
        print(
            f"{name}: {macs[0]:,} -> {macs[1]:,} MACs, {parameters[0]:,} -> {parameters[1]:,} "
            f"parameters, {model.size:,} -> {pruned.size:,} bytes, "
            f"{seconds['whole'] * 1e6:.0f} -> {seconds['cut'] * 1e6:.0f} us "
            f"({seconds['whole'] / seconds['cut']:.2f}x)"
        )
        yield Figure(
            f"{name}, half of its channels cut: largest difference from the same channels muted",
            told["proof"],
            "at most",
            1e-4,
            digits=8,
            detail=f"{seconds['whole'] / seconds['cut']:.2f}x as fast on ONNX Runtime",
        )


def in_onnx(model: Model, folder: Path) -> Model:
    for target in ("saved_model", "onnx") if model.format == "keras" else ("onnx",):
        plugin = registry().get("converter", f"{model.format}_to_{target}")
        context = Context(workdir=Path(tempfile.mkdtemp(dir=folder)))
        model = plugin.implementation(model.format).run(model, plugin.step.Config(), context)
    return model


def cut(model: Model, folder: Path, told: dict[str, Any], **options: Any) -> Model:
    plugin = registry().get("optimize", "prune_channels")
    context = Context(
        workdir=Path(tempfile.mkdtemp(dir=folder)), tell=lambda _, facts: told.update(facts)
    )
    config = msgspec.convert(options, plugin.step.Config)
    made: Model = plugin.implementation(model.format).run(model, config, context)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description="Channel pruning against its bars.")
    parser.add_argument("--mnist", type=Path, help="folder with mnist.keras and mnist.npz")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="taxiway-bench-") as scratch:
        if arguments.mnist:
            figures += mnist(arguments.mnist, Path(scratch))
        figures += exact(Path(scratch))
    sys.stdout.write(markdown(figures))
    return 1 if any(figure.passed is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
