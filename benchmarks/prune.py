"""Pruning and int8 against their bar: how much smaller LeNet-5 is once it is compressed, and what it loses.

python benchmarks/prune.py --mnist FOLDER

FOLDER holds mnist.keras (LeNet-5 of Han et al. 2015) and mnist.npz, as
`recipes/train_mnist.py PACKAGE --full FOLDER` makes them. Real recipes convert the network as it is, and
prune, convert and quantize it; sizes are those of `gzip -9` of the .tflite files, accuracies are on the 2,000
test rows, which no step reads. The median over seeds has the bar; the share of zeros is also tried with every
layer for itself. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from figure import Figure, markdown

import taxiway

SEEDS = (0, 1, 2)
SPARSITY = 0.9
RECIPE = """\
defaults:
  - base
  - source: keras
  - data: npz
  - convert: tflite
{passes}  - evaluate: classification
  - _self_
name: bench_prune
ledger: null
seed: {seed}
source: {{path: mnist.keras}}
data:
  path: mnist.npz
  scale: 0.00392156862745098
  splits:
    train: {{inputs: x_train, labels: y_train}}
    validation: {{inputs: x_validation, labels: y_validation}}
    calibration: {{inputs: x_train}}
    test: {{inputs: x_test, labels: y_test}}
{options}evaluate: {{latency_samples: 5}}
"""
OPTIONS = """\
optimize:
  prune_magnitude:
    sparsity: {sparsity}
    scope: {scope}
    training: {{epochs: 6, validation: validation}}
"""


@dataclass(frozen=True)
class Made:
    """One model: bytes after gzip, accuracy, and that of the Keras network; seconds of the run."""

    compressed: int
    accuracy: float
    source: float
    seconds: float


def run(folder: Path, passes: str, options: str, seed: int = 0) -> Made:
    recipe = folder / "bench.yaml"
    recipe.write_text(RECIPE.format(passes=passes, options=options, seed=seed))
    start = time.perf_counter()
    result = taxiway.load(recipe).run(output=folder / "runs", store=folder / "store")
    seconds = time.perf_counter() - start
    assert result.artifact is not None
    return Made(
        len(gzip.compress(result.artifact.read_bytes(), 9)),
        result.metrics["result"]["accuracy"],
        result.metrics["source"]["accuracy"],
        seconds,
    )


def pruned(folder: Path, scope: str, seed: int) -> Made:
    passes = "  - optimize: [prune_magnitude, quantize_static]\n"
    return run(folder, passes, OPTIONS.format(sparsity=SPARSITY, scope=scope), seed)


def measure(mnist: Path) -> list[Figure]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("mnist.keras", "mnist.npz"):
            shutil.copyfile(mnist / name, folder / name)
        plain = run(folder, "", "")
        int8 = run(folder, "  - optimize: [quantize_static]\n", "")
        cases = [("global", seed) for seed in SEEDS] + [("layer", SEEDS[0])]
        made = {case: pruned(folder, *case) for case in cases}
    print(f"{'':28} {'gzip':>9} {'smaller':>8} {'accuracy':>9} {'s':>6}")
    rows = {"float TFLite": plain, "int8": int8}
    rows |= {f"{SPARSITY:.0%} {scope}, int8, seed {n}": m for (scope, n), m in made.items()}
    for name, each in rows.items():
        ratio = plain.compressed / each.compressed
        print(
            f"{name:28} {each.compressed:9,} {ratio:7.1f}x {each.accuracy:9.2%} {each.seconds:6.1f}"
        )
    chosen = [made["global", seed] for seed in SEEDS]
    ratios = [plain.compressed / each.compressed for each in chosen]
    losses = [100 * (each.source - each.accuracy) for each in chosen]
    detail = f"{len(SEEDS)} seeds"
    return [
        Figure(
            f"LeNet-5, {SPARSITY:.0%} zeros and int8: smaller, gzip",
            statistics.median(ratios),
            "at least",
            10.0,
            "x",
            1,
            detail=f"{detail}: {min(ratios):.1f} to {max(ratios):.1f}",
        ),
        Figure(
            "accuracy lost by it",
            statistics.median(losses),
            "at most",
            0.3,
            "pt",
            2,
            detail=f"{detail}: {min(losses):.2f} to {max(losses):.2f}",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure pruning against its bar.")
    parser.add_argument("--mnist", type=Path, required=True, help="folder of train_mnist.py --full")
    figures = measure(parser.parse_args().mnist)
    print()
    print(markdown(figures), end="")
    return int(any(figure.passed is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
