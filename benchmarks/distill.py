"""Distillation against its bars: the same student, taught and alone, over five seeds.

python benchmarks/distill.py --mnist FOLDER [--seeds 5]

FOLDER holds mnist.npz, as `recipes/train_mnist.py PACKAGE --full FOLDER` makes it. The teacher is the LeNet of
Han et al. 2015, trained here on all 7,200 training rows with augmentation. Both students have 500 of those rows with
labels, the same first weights, epochs, order of rows and augmentation; they differ in `alpha` alone: 0.1, or 1 for
labels only. Settings were chosen on the validation rows; accuracy is that on the 2,000 test rows. Prints each
figure and its bar; exit code 1 where one is missed.
"""

from __future__ import annotations

import argparse
import os
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
from taxiway.optimize.distill.distill import Distill
from taxiway.optimize.training.config import Training
from taxiway.plugins import Context, Dataset, registry

AUGMENT = {"shift": 0.1, "rotate": 12, "zoom": 0.1}
TEACHER = {
    "epochs": 15,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "validation": 0,
    "augment": AUGMENT,
}
STUDENT: dict[str, Any] = {
    "student": {"width": 0.3},
    "temperature": 4,
    "training": {
        "samples": 500,
        "epochs": 60,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "validation": 0,
        "augment": AUGMENT,
    },
}
TAUGHT, ALONE = 0.1, 1.0
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}
"""Students -> the 97.5 % point of Student's t with one degree of freedom less."""


def rows(archive: Path) -> Dataset:
    plugin = registry().get("data", "npz")
    splits = {name: {"inputs": f"x_{name}", "labels": f"y_{name}"} for name in ("train", "test")}
    options = {"type": "npz", "path": str(archive), "scale": 1 / 255, "splits": splits}
    opened: Dataset = plugin.step().open(msgspec.convert(options, plugin.step.Config), 0)  # type: ignore[attr-defined]
    return opened


def trained_teacher(data: Dataset, folder: Path) -> Model:
    from taxiway.model.save_keras import save_keras
    from taxiway.optimize.training.fit import fit
    from taxiway.optimize.training.seeds import fix_seeds

    sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
    from train_mnist import lenet

    fix_seeds(7)
    network = lenet((20, 50, (500,)))
    context = Context(workdir=folder, seed=7, data=data)
    fit(network, None, msgspec.convert(TEACHER, Training), context)
    return describe(save_keras(network, folder / "teacher.keras"), "keras")


def student(teacher: Model, data: Dataset, alpha: float, seed: int) -> tuple[float, float]:
    """Accuracy on the test rows, and the share of the teacher's parameters."""
    options = msgspec.convert({**STUDENT, "alpha": alpha}, Distill.Config)
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        context = Context(workdir=Path(folder), seed=seed, data=data, tell=told.__setitem__)
        made = Distill().run(teacher, options, context)
        return accuracy(made, data), told["student"]["share"]


def accuracy(model: Model, data: Dataset) -> float:
    from taxiway.plugins import Selection

    runner = open_runner(model)
    right = count = 0
    for batch in data.batches(Selection("test", labels=True), 500):
        (scores,) = runner.predict(
            {runner.signature.inputs[0].name: batch.inputs["input"]}
        ).values()
        right += int((scores.argmax(axis=1) == batch.labels).sum())
        count += len(scores)
    return right / count


def figures(archive: Path, seeds: int) -> Iterator[Figure]:
    data = rows(archive)
    with tempfile.TemporaryDirectory() as folder:
        teacher = trained_teacher(data, Path(folder))
        best = accuracy(teacher, data)
        print(f"teacher: {best:.2%} on the test rows", file=sys.stderr)
        taught, alone, share = [], [], 1.0
        for seed in range(1, seeds + 1):
            one, share = student(teacher, data, TAUGHT, seed)
            other, _ = student(teacher, data, ALONE, seed)
            taught.append(one)
            alone.append(other)
            print(f"seed {seed}: taught {one:.2%}, alone {other:.2%}", file=sys.stderr)
    gains = 100 * (np.array(taught) - np.array(alone))
    half = T_95[seeds] * float(gains.std(ddof=1)) / seeds**0.5
    gap = 100 * (best - float(np.mean(alone)))
    detail = (
        f"teacher {best:.2%}, alone {np.mean(alone):.2%}, taught {np.mean(taught):.2%}; "
        f"{gains.mean():+.2f} ± {half:.2f} pt over {seeds} seeds"
    )
    yield Figure("student: share of the teacher's parameters", share, "at most", 1 / 8, digits=3)
    low = float(gains.mean()) - half
    yield Figure("taught against alone: low end of 95 %", low, "at least", 0.0, "pt", detail=detail)
    closed = float(gains.mean()) / gap
    yield Figure("share of the gap to the teacher closed", closed, "at least", 1 / 3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(T_95))
    arguments = parser.parse_args()
    if not arguments.mnist:
        print("nothing to measure: see --help")
        return 0
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = list(figures(arguments.mnist / "mnist.npz", arguments.seeds))
    print(markdown(found), end="")
    return int(any(figure.passed is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
