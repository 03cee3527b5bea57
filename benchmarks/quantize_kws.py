"""Keyword spotting of MLPerf Tiny in 8 bits: calibrated on 200 of its 1,000 samples, judged on the other 800.

python benchmarks/quantize_kws.py

Reads TAXIWAY_MLPERF_TINY: kws/saved_model, kws/samples.npz and kws/vendor_int8.tflite, the benchmark's own
int8 file. The 200 are drawn at random, class by class, by five seeds; a model sees their inputs, never their
labels. Points are of accuracy against the SavedModel on the same 800 samples. The bar is that of the default
options; other methods of calibration are measured beside it, and nothing is chosen by them. Exit code 1
where a bar is missed.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from figure import Figure, markdown

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Batch, Context, Selection, registry

Array = np.ndarray[Any, Any]
SEEDS = range(5)
DRAWN = 200
LOST, POINTS = 0.3, 100
METHODS = ("minmax", "percentile", "entropy", "distribution")


class Rows:
    """The drawn samples as a dataset; without labels."""

    class_names = None
    splits = ("calibration",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, name: str, rows: Array) -> None:
        self._name, self._rows = name, rows

    def count(self, selection: Selection) -> int:
        return min(len(self._rows), selection.samples or len(self._rows))

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        for start in range(0, self.count(selection), size):
            yield Batch({self._name: self._rows[start : start + size]}, None)


def stratified(labels: Array, seed: int) -> Array:
    """Indices of DRAWN samples, as many of each class as its share asks for, shuffled."""
    random = np.random.default_rng(seed)
    drawn = [
        random.permutation(np.flatnonzero(labels == kind))[: round(DRAWN * share)]
        for kind, share in enumerate(np.bincount(labels) / len(labels))
    ]
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate(drawn))
    missing = DRAWN - sum(map(len, drawn))
    filled = np.concatenate([*drawn, random.permutation(rest)[: max(missing, 0)]])
    return random.permutation(filled)[:DRAWN]


def step(
    section: str, name: str, model: Model, folder: Path, data: Any = None, **options: Any
) -> Model:
    plugin = registry().get(section, name)
    workdir = Path(tempfile.mkdtemp(dir=folder))
    config = msgspec.convert(options, plugin.step.Config)
    made: Any = plugin.implementation(model.format)
    result: Model = made.run(model, config, Context(workdir=workdir, data=data))
    return result


def right(model: Model, rows: Array, labels: Array) -> Array:
    """Whether each sample was classed right."""
    (scores,) = open_runner(model).predict({model.signature.inputs[0].name: rows}).values()
    return np.asarray(scores.argmax(1) == labels)


def figures(folder: Path, work: Path) -> Iterator[Figure]:
    arrays = np.load(folder / "samples.npz")
    rows, labels = arrays["mfcc"], arrays["label"]
    source = describe(folder / "saved_model", "saved_model")
    vendor = describe(folder / "vendor_int8.tflite", "tflite")
    model = step("converter", "saved_model_to_tflite", source, work)
    name = model.signature.inputs[0].name
    # A SavedModel runs in TensorFlow, which the interpreter of LiteRT follows to the last class.
    truth, reference = right(source, rows, labels), right(vendor, rows, labels)
    lost: dict[str, list[float]] = {method: [] for method in (*METHODS, "vendor")}
    size = 0
    for seed in SEEDS:
        chosen = stratified(labels, seed)
        judged = np.setdiff1d(np.arange(len(labels)), chosen)
        for method in METHODS:
            result = step(
                "optimize",
                "quantize_static",
                model,
                work,
                Rows(name, rows[chosen]),
                calibration={"samples": DRAWN, "method": method},
            )
            found = right(result, rows[judged], labels[judged])
            lost[method].append(POINTS * float(truth[judged].mean() - found.mean()))
            size = max(size, result.size)
        lost["vendor"].append(POINTS * float(truth[judged].mean() - reference[judged].mean()))
    for method, values in lost.items():
        print(
            f"{method}: lost {', '.join(f'{value:+.2f}' for value in values)} pt; median "
            f"{statistics.median(values):+.2f}, worst {max(values):+.2f}"
        )
    yield Figure(
        "KWS w8a8, median of 5 draws: points lost",
        statistics.median(lost["minmax"]),
        "at most",
        LOST,
        "pt",
        detail=f"the benchmark's own int8 file: {statistics.median(lost['vendor']):.2f} pt",
    )
    yield Figure(
        "KWS w8a8, worst of 5 draws: points lost", max(lost["minmax"]), "at most", LOST, "pt"
    )
    yield Figure("KWS w8a8: size of the file", size, "at most", vendor.size, "bytes", 0)


def main() -> int:
    folder = os.environ.get("TAXIWAY_MLPERF_TINY")
    if not folder:
        print("TAXIWAY_MLPERF_TINY is not set: nothing was measured")
        return 1
    with tempfile.TemporaryDirectory() as work:
        found = list(figures(Path(folder) / "kws", Path(work)))
    print(markdown(found), end="")
    return 0 if all(figure.passed for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
