"""Fallbacks on models with planted faults: is the faulty operator found, the accuracy restored, and at what cost.

python benchmarks/fallback.py [--seeds N]

The shipped digits CNN and LeNet-5, and the keyword spotter of TAXIWAY_MLPERF_TINY where that is set; ONNX
and TFLite; faults at places drawn by seeds (planted_operators.py). A fallback chooses on 200 rows; the drop
is measured again on rows that it never saw. Prints each figure and its bar; exit code 1 where one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from figure import Figure, markdown
from planted_operators import KINDS, Planted

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.optimize.quantize.onnx.graph import prepared
from taxiway.plugins import Batch, Context, Selection, registry

Array = np.ndarray[Any, Any]
RECIPES = Path(__file__).parents[1] / "recipes"
CHOSEN, JUDGED = 200, 500
MAX_DROP = 0.005
FAULTS = ("wide channel", "saturating layer")
LAYERS = {"Conv", "Gemm", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


@dataclass(frozen=True)
class Subject:
    """A model as ONNX, ready to be planted in, and its rows: those to choose on come first."""

    name: str
    proto: Any
    inputs: Array
    labels: Array


class Rows:
    """The first rows as the `calibration` split."""

    class_names = None
    splits = ("calibration",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, subject: Subject, name: str) -> None:
        self._inputs, self._labels, self._name = subject.inputs, subject.labels, name

    def count(self, selection: Selection) -> int:
        return min(CHOSEN, selection.samples or CHOSEN)

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        count = self.count(selection)
        for at in range(0, count, size):
            rows = slice(at, min(at + size, count))
            labels = self._labels[rows] if selection.labels else None
            yield Batch({self._name: self._inputs[rows]}, labels)


def subjects(folder: Path) -> Iterator[Subject]:
    random = np.random.default_rng(0)
    for name, (model, rows), most in (
        ("digits CNN", ("models/digits.keras", "data/digits.npz"), 16),
        ("LeNet-5", ("vision/mnist.keras", "vision/mnist.npz"), 255),
    ):
        with np.load(RECIPES / rows) as data:
            inputs, labels = data["x_train"], data["y_train"]
        order = random.permutation(len(inputs))[: CHOSEN + JUDGED]
        source = describe(RECIPES / model, "keras")
        proto = as_onnx(source, folder)
        shape = inputs.shape if inputs.ndim == 4 else (*inputs.shape, 1)
        pixels = (inputs.reshape(shape) / most).astype(np.float32)
        yield Subject(name, proto, pixels[order], labels[order].astype(np.int64))
    root = os.environ.get("TAXIWAY_MLPERF_TINY")
    if root:
        with np.load(Path(root) / "kws" / "samples.npz") as data:
            inputs, labels = data["mfcc"], data["label"]
        order = random.permutation(len(inputs))[: CHOSEN + JUDGED]
        proto = as_onnx(describe(Path(root) / "kws" / "saved_model", "saved_model"), folder)
        yield Subject("KWS DS-CNN", proto, inputs[order], labels[order])


def as_onnx(source: Model, folder: Path) -> Any:
    """The model converted, with batch normalization folded."""
    model = source
    if model.format == "keras":
        model = converted(model, "saved_model", folder)
    return prepared(converted(model, "onnx", folder))


def converted(model: Model, target: str, folder: Path) -> Model:
    plugin = registry().get("converter", f"{model.format}_to_{target}")
    workdir = Path(tempfile.mkdtemp(dir=folder))
    step = plugin.implementation(model.format)
    made: Model = step.run(model, plugin.step.Config(), Context(workdir=workdir))
    return made


@dataclass(frozen=True)
class Outcome:
    """One fallback. drop: on rows that it did not see, as a share."""

    found: bool
    restored: bool
    share: float
    drop: float
    lost: float
    facts: dict[str, Any]


def repaired(subject: Subject, planted: Planted, format: str, folder: Path) -> Outcome:
    folder = Path(tempfile.mkdtemp(dir=folder))
    onnx.save(planted.proto, folder / "planted.onnx")
    model = describe(folder / "planted.onnx", "onnx")
    if format == "tflite":
        model = converted(model, "tflite", folder)
    plugin = registry().get("optimize", "quantize_static")
    options = msgspec.convert(
        {"calibration": {"samples": CHOSEN}, "fallback": {"max_drop": f"{100 * MAX_DROP} pt"}},
        plugin.step.Config,
    )
    told: dict[str, Any] = {}
    (folder / "work").mkdir()
    name = model.signature.inputs[0].name
    context = Context(workdir=folder / "work", data=Rows(subject, name), tell=told.__setitem__)
    step = plugin.implementation(format)
    result = step.run(model, options, context)
    facts = told["fallback"]
    layers = [op.name for op in step.operators(model, options) if op.type in LAYERS]
    order = [node.name for node in planted.proto.graph.node if node.op_type in LAYERS]
    faulty = layers[order.index(planted.operator)]
    return Outcome(
        found=faulty in {entry["operator"] for entry in facts["kept"]},
        restored=facts["restored"],
        share=facts["given_back_share"],
        drop=accuracy(model, subject) - accuracy(result, subject),
        lost=facts["quantized_drop"],
        facts=facts,
    )


def accuracy(model: Model, subject: Subject) -> float:
    """On the rows that no fallback reads."""
    runner = open_runner(model)
    name = model.signature.inputs[0].name
    (scores,) = runner.predict({name: subject.inputs[CHOSEN:]}).values()
    return float((scores.argmax(axis=1) == subject.labels[CHOSEN:]).mean())


def figures(subject: Subject, format: str, fault: str, seeds: int, folder: Path) -> list[Figure]:
    """Of the places where the fault costs accuracy at all."""
    planted = [KINDS[fault](subject.proto, seed) for seed in range(seeds)]
    ran = [repaired(subject, each, format, folder) for each in planted]
    harmed = [outcome for outcome in ran if outcome.lost > MAX_DROP]
    what, n = f"{subject.name}, {format}, {fault}", len(harmed)
    if not n:
        why = f"no harm at {seeds} places"
        return [Figure(f"{what}: restored", None, "at least", 0, why=why)]
    drops = ", ".join(f"{100 * outcome.drop:+.1f}" for outcome in harmed)
    before = ", ".join(f"{100 * outcome.lost:.0f}" for outcome in harmed)
    times = [o.facts["latency_p50"]["final"] / o.facts["latency_p50"]["quantized"] for o in harmed]
    counts = [outcome.facts["candidates"] for outcome in harmed]
    kept = [len(outcome.facts["kept"]) for outcome in harmed]
    return [
        Figure(
            f"{what}: planted operator kept, of {n}",
            sum(outcome.found for outcome in harmed),
            "at least",
            n,
            digits=0,
            detail=f"operators kept {kept}, candidates {counts}",
        ),
        Figure(
            f"{what}: restored, of {n}",
            sum(outcome.restored for outcome in harmed),
            "at least",
            n,
            digits=0,
            detail=f"lost before: {before} pt; on unseen rows now: {drops} pt",
        ),
        Figure(
            f"{what}: bytes given back, worst",
            100 * max(outcome.share for outcome in harmed),
            "at most",
            10,
            unit="%",
            digits=1,
            detail=f"latency {np.median(times):.2f}x of all-int8",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--faults", nargs="+", choices=sorted(KINDS), default=list(FAULTS))
    arguments = parser.parse_args()
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for subject in subjects(folder):
            for format in ("onnx", "tflite"):
                for fault in arguments.faults:
                    found += figures(subject, format, fault, arguments.seeds, folder)
    print(markdown(found), end="")
    return int(any(figure.passed is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
