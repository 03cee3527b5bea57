"""Clustering, quantization-aware training and the chain of passes against their bars.

python benchmarks/chain.py --mnist FOLDER

FOLDER holds mnist.keras (LeNet-5 of Han et al. 2015) and mnist.npz, as `recipes/train_mnist.py PACKAGE --full
FOLDER` makes them. Everything goes through recipes. Accuracies are on the 2,000 test rows, sizes are those of
`gzip -9`. For quantization-aware training the channels of LeNet get factors of 1/32 to 32, drawn by a seed,
which the layer behind takes back: the network computes the same, and quantization of activations with one
scale for all channels loses several points. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from figure import Figure, markdown

import taxiway
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.model.weights import StoredWeight, stored_weights

Array = np.ndarray[Any, Any]
SPARSITY, CLUSTERS, FEW = 0.8, 16, 8
OCTAVES, SEEDS = 5, (0, 1)
LAYERS = ("conv1", "conv2", "dense1", "probabilities")
RECIPE = """\
defaults:
  - base
  - source: keras
  - data: npz
{convert}  - optimize: [{passes}]
  - _self_
name: bench_chain
{proof}ledger: null
calibration: null
source: {{path: {model}}}
data:
  path: mnist.npz
  scale: 0.00392156862745098
  splits:
    train: {{inputs: x_train, labels: y_train}}
    validation: {{inputs: x_validation, labels: y_validation}}
    calibration: {{inputs: x_train}}
    test: {{inputs: x_test, labels: y_test}}
optimize:
{options}
"""
OPTIONS = {
    "prune_magnitude": f"""\
  prune_magnitude:
    sparsity: {SPARSITY}
    training: {{epochs: 4, validation: validation}}
""",
    "cluster_weights": f"""\
  cluster_weights:
    clusters: {CLUSTERS}
    training: {{epochs: 2, learning_rate: 2.0e-4, validation: validation}}
""",
    "quantize_aware_training": """\
  quantize_aware_training:
    training: {epochs: 3, learning_rate: 1.0e-3, validation: validation}
""",
    "quantize_static": "  quantize_static: {io_dtype: float32}\n",
}
CHAIN = ("prune_magnitude", "cluster_weights", "quantize_aware_training")


class Bench:
    """Recipes in a folder with the data, and what their results score."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        for name in ("mnist.keras", "mnist.npz"):
            shutil.copyfile(source / name, folder / name)
        with np.load(source / "mnist.npz") as archive:
            pixels, self._labels = archive["x_test"], archive["y_test"]
        self._rows = pixels.reshape(len(pixels), 28, 28, 1).astype(np.float32) / np.float32(255)

    def run(
        self,
        passes: tuple[str, ...],
        target: str | None,
        model: str = "mnist.keras",
        clusters: int = CLUSTERS,
    ) -> Model:
        convert = f"  - convert: {target}\n" if target else ""
        options = "".join(OPTIONS[name] for name in passes) or "  {}\n"
        # int8 inputs and outputs are a choice on TFLite only.
        if target == "onnx":
            options = options.replace(OPTIONS["quantize_static"], "  quantize_static: {}\n")
        options = options.replace(f"clusters: {CLUSTERS}", f"clusters: {clusters}")
        path = self.folder / f"{'-'.join(passes) or 'none'}-{target}-{Path(model).stem}.yaml"
        # Of networks whose loss by quantization is what is measured, a proof would refuse that loss.
        proof = "" if model == "mnist.keras" else "parity: null\n"
        text = RECIPE.format(
            convert=convert, passes=", ".join(passes), options=options, model=model, proof=proof
        )
        path.write_text(text)
        result = taxiway.load(path).run(output=self.folder / "runs", store=self.folder / "store")
        assert result.artifact is not None
        return describe(result.artifact, target or "keras")

    def accuracy(self, model: Model) -> float:
        """Share of the test rows that are right; fixed batches of one are honoured by the runner."""
        runner = open_runner(model)
        (name,) = (spec.name for spec in model.signature.inputs)
        scores = [
            next(iter(runner.predict({name: self._rows[at : at + 100]}).values()))
            for at in range(0, len(self._rows), 100)
        ]
        return float((np.concatenate(scores).argmax(1) == self._labels).mean())


def compressed(model: Model) -> int:
    return len(gzip.compress(model.path.read_bytes(), 9))


def kernels(model: Model) -> dict[int, StoredWeight]:
    """Kernels by their number of elements, which names none of LeNet's twice."""
    return {weight.size: weight for weight in stored_weights(model) if weight.is_kernel}


def chain(bench: Bench) -> Iterator[Figure]:
    """prune -> cluster -> quantization-aware training -> int8, in both formats."""
    plain = bench.run((), "tflite")
    start = bench.accuracy(plain)
    pruned, clustered = (kernels(bench.run(CHAIN[:n], None)) for n in (1, 2))
    for target in ("tflite", "onnx"):
        end = bench.run((*CHAIN, "quantize_static"), target)
        found = kernels(end)
        shares = {size: 100 * weight.zeros() / size for size, weight in found.items()}
        off = max(abs(shares[size] - 100 * w.zeros() / size) for size, w in pruned.items())
        total = sum(weight.zeros() for weight in found.values()) / sum(found)
        values = {
            size: (weight.distinct(), found[size].distinct()) for size, weight in clustered.items()
        }
        accuracy = bench.accuracy(end)
        print(
            f"chain to {target}: zeros {total:.4f} of all kernels (set: {SPARSITY}); values of each "
            f"kernel before and after {[*values.values()]}; accuracy {start:.4f} -> {accuracy:.4f}; "
            f"gzip {compressed(plain):,} -> {compressed(end):,} bytes"
        )
        what = f"prune, cluster, QAT, int8 {target}"
        yield Figure(f"{what}: zeros off what pruning set", off, "at most", 0.5, "pt")
        yield Figure(
            f"{what}: zeros in all off what the recipe set",
            100 * abs(total - SPARSITY),
            "at most",
            0.5,
            "pt",
        )
        worst = max(abs(after - CLUSTERS) / CLUSTERS for _, after in values.values())
        yield Figure(f"{what}: values off the number set", 100 * worst, "at most", 0.5, "%")
        yield Figure(f"{what}: accuracy lost", 100 * (start - accuracy), "at most", 0.5, "pt")


def small(bench: Bench) -> Iterator[Figure]:
    """Clustering and int8 alone."""
    plain, end = (
        bench.run((), "tflite"),
        bench.run(("cluster_weights", "quantize_static"), "tflite", clusters=FEW),
    )
    before, after = compressed(plain), compressed(end)
    lost = 100 * (bench.accuracy(plain) - bench.accuracy(end))
    detail = f"gzip {before:,} -> {after:,} bytes"
    yield Figure(
        f"{FEW} clusters + int8: times smaller", before / after, "at least", 8, "x", detail=detail
    )
    yield Figure(f"{FEW} clusters + int8: accuracy lost", lost, "at most", 0.3, "pt")


def aware(bench: Bench) -> Iterator[Figure]:
    """Post-training quantization and quantization-aware training on networks with wide channels."""
    for seed in SEEDS:
        name = f"wide{seed}.keras"
        widened(bench.folder / "mnist.keras", bench.folder / name, seed)
        start = bench.accuracy(bench.run((), "tflite", name))
        after = bench.accuracy(bench.run(("quantize_static",), "tflite", name))
        trained = bench.accuracy(
            bench.run(("quantize_aware_training", "quantize_static"), "tflite", name)
        )
        detail = f"{start:.4f} -> {after:.4f} int8, {trained:.4f} trained for it"
        what = f"wide channels, seed {seed}"
        yield Figure(f"{what}: lost by int8 alone", 100 * (start - after), "at least", 2, "pt")
        yield Figure(
            f"{what}: lost after QAT", 100 * (start - trained), "at most", 0.5, "pt", detail=detail
        )


def widened(source: Path, target: Path, seed: int) -> None:
    """LeNet with other ranges in each channel that computes the same: ReLU and pooling pass factors on."""
    import keras

    random = np.random.default_rng(seed)
    network = keras.saving.load_model(source, compile=False)
    layers = [network.get_layer(name) for name in LAYERS]
    for layer, following in itertools.pairwise(layers):
        channels = layer.kernel.shape[-1]
        factors = np.float32(2) ** random.uniform(-OCTAVES, OCTAVES, channels).astype(np.float32)
        layer.kernel.assign(layer.kernel * factors)
        layer.bias.assign(layer.bias * factors)
        rows = np.tile(factors, following.kernel.shape[-2] // channels)
        following.kernel.assign(following.kernel / rows[:, None])
    network.save(target)


PARTS: Mapping[str, Any] = {"chain": chain, "small": small, "aware": aware}


def main() -> int:
    parser = argparse.ArgumentParser(description="Chains of passes against their bars.")
    parser.add_argument(
        "--mnist", type=Path, required=True, help="folder with mnist.keras and mnist.npz"
    )
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="taxiway-bench-") as scratch:
        bench = Bench(arguments.mnist, Path(scratch))
        for name, part in PARTS.items():
            if arguments.only in (None, name):
                figures += part(bench)
    sys.stdout.write(markdown(figures))
    return 1 if any(figure.passed is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
