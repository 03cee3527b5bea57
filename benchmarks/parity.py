"""Proof of conversions of real models: a vendor's own, and those of MLPerf Tiny.

python benchmarks/parity.py [--basic-pitch WHEEL]

Reads the models of TAXIWAY_MLPERF_TINY where it is set, and basic-pitch 0.4.0 out of its wheel
(`pip download --no-deps basic-pitch==0.4.0`; nothing of it is installed). Prints each figure and
its bar; exit code 1 where one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from figure import Figure, markdown

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.parity.outputs import Outputs
from taxiway.plugins import Batch, Context, Selection, registry

Array = np.ndarray[Any, Any]
RATE, WINDOW = 22050, 43844
"""basic-pitch's sampling rate in Hz, and samples in one of its windows."""
SEED = 5
MEMBERS = "basic_pitch/saved_models/icassp_2022/nmp"


class Rows:
    """A dataset of one input over an array in memory."""

    class_names = None
    splits = ("test",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, rows: Array) -> None:
        self._rows = rows

    def count(self, selection: Selection) -> int:
        return len(self._rows)

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        yield Batch({"input": self._rows[:size]}, None)


def windows() -> Array:
    """Audio [n, 43844, 1]: chords, a glide, plucked notes, noise, clipping, near silence."""
    random = np.random.default_rng(SEED)
    t = np.arange(WINDOW) / RATE

    def tone(pitch: Any, strength: float) -> Array:
        phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch, t.shape)) / RATE
        return strength * sum(
            np.sin(n * phase + random.uniform(0, 6)) / n**1.5 for n in range(1, 7)
        )

    def plucked(count: int) -> Array:
        starts, pitches = random.uniform(0, 1.8, count), 55 * 2 ** random.uniform(0, 5, count)
        return sum(
            tone(pitch, 0.3) * np.exp(-5 * (t - start)) * (t >= start)
            for start, pitch in zip(starts, pitches, strict=True)
        )

    chords = [sum(tone(p, 0.1) for p in random.uniform(80, 1500, 4)) for _ in range(4)]
    glides = [tone(110 * 2 ** (octaves * t), 0.3) for octaves in (0.5, 1.5)]
    noisy = [plucked(6) + random.normal(0, 10.0**-level, t.shape) for level in (1, 2, 3, 4)]
    extreme = [
        np.clip(4 * plucked(8), -1, 1),
        random.normal(0, 0.3, t.shape),
        1e-4 * plucked(4),
        np.zeros_like(t),
    ]
    made = np.stack([*chords, *glides, *noisy, *extreme])
    return made.astype(np.float32)[..., None]


def converted(model: Model, target: str, folder: Path) -> Model:
    """By the built-in converters, with their defaults; a Keras model goes through a SavedModel to ONNX."""
    if model.format == "keras" and target == "onnx":
        model = converted(model, "saved_model", folder)
    workdir = Path(tempfile.mkdtemp(dir=folder))
    plugin = registry().get("converter", f"{model.format}_to_{target}")
    step = plugin.implementation(model.format)
    made: Model = step.run(model, plugin.step.Config(), Context(workdir=workdir))
    return made


def proof(reference: Model, model: Model, rows: Array, folder: Path) -> dict[str, Any]:
    context = Context(
        workdir=Path(tempfile.mkdtemp(dir=folder)), reference=reference, data=Rows(rows)
    )
    return Outputs().run(model, Outputs.Config(split="test"), context)


def outputs(model: Model, rows: Array) -> list[Array]:
    """In the order of their names: a converter's made-up names count them so."""
    name = model.signature.inputs[0].name
    found = open_runner(model).predict({name: rows})
    return [found[name] for name in sorted(found)]


def largest(a: list[Array], b: list[Array]) -> float:
    return max(float(np.abs(x.astype(np.float64) - y).max()) for x, y in zip(a, b, strict=True))


def basic_pitch(wheel: Path, folder: Path) -> Iterator[Figure]:
    """Our conversions of the vendor's SavedModel against its own, on the same windows."""
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(MEMBERS)]
        archive.extractall(folder, members)
    rows = windows()
    source = describe(folder / MEMBERS, "saved_model")
    reference = outputs(source, rows)
    for target in ("onnx", "tflite"):
        vendor = describe(folder / f"{MEMBERS}.{target}", target)
        mine = converted(source, target, folder)
        theirs, ours = outputs(vendor, rows), outputs(mine, rows)
        what = f"basic-pitch: our {target} against the vendor's, max abs"
        yield Figure(
            what,
            largest(ours, theirs),
            "at most",
            1e-5,
            digits=8,
            detail=f"to the SavedModel: ours {largest(ours, reference):.1e}, "
            f"theirs {largest(theirs, reference):.1e}; {len(rows)} windows",
        )
        figures = proof(source, mine, rows, folder)
        yield proven(f"basic-pitch SavedModel to {target}", figures)


def proven(what: str, figures: dict[str, Any]) -> Figure:
    """The worst output's error over its tolerance."""
    shares = [one["error"] / one["tolerance"] for one in figures["outputs"]]
    return Figure(
        f"{what}: error / tolerance",
        max(shares, default=float("inf")) if figures["equal"] else float("inf"),
        "at most",
        1.0,
        digits=3,
        detail=figures["reason"],
    )


def mlperf(root: Path, folder: Path) -> Iterator[Figure]:
    random = np.random.default_rng(SEED)
    samples = np.load(root / "kws" / "samples.npz")
    rows = {
        "kws/saved_model": samples["mfcc"],
        "ic/resnet8.h5": random.integers(0, 256, (32, 32, 32, 3)).astype(np.float32),
        "vww/mobilenet_v1_025_96.h5": random.random((32, 96, 96, 3)).astype(np.float32),
    }
    for name, inputs in rows.items():
        source = describe(root / name, "keras" if name.endswith(".h5") else "saved_model")
        for target in ("onnx", "tflite"):
            model = converted(source, target, folder)
            yield proven(f"{name} to {target}", proof(source, model, inputs[:32], folder))
            if name.startswith("kws"):
                drop = accuracy(source, samples) - accuracy(model, samples)
                yield Figure(
                    f"{name} to {target}: change of accuracy",
                    100 * abs(drop),
                    "at most",
                    0.1,
                    unit="pt",
                    detail=f"source {100 * accuracy(source, samples):.1f} %",
                )


def accuracy(model: Model, samples: Any) -> float:
    (scores,) = outputs(model, samples["mfcc"])
    return float((scores.argmax(axis=1) == samples["label"]).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--basic-pitch", type=Path, metavar="WHEEL")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if arguments.basic_pitch:
            figures += basic_pitch(arguments.basic_pitch, folder)
        if os.environ.get("TAXIWAY_MLPERF_TINY"):
            figures += mlperf(Path(os.environ["TAXIWAY_MLPERF_TINY"]), folder)
    if not figures:
        print("no model to measure: see --help")
    print(markdown(figures), end="")
    return int(any(figure.passed is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
