"""Small models of every source and kind, made by script: each a file or folder, and samples for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 16
Samples = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Specimen:
    """One row of the matrix: `write` makes the model below a folder and gives its path.

    samples: one array per input. needs: the module without which the row is left out.
    """

    source: str
    kind: str
    write: Callable[[Path], Path]
    samples: Callable[[], Samples]
    needs: str = "tensorflow"


def normal(*shape: int, name: str = "x") -> Callable[[], Samples]:
    return lambda: {name: np.random.default_rng(0).normal(size=(ROWS, *shape)).astype(np.float32)}


def tokens(*names: str, length: int = 12, dtype: Any = np.int64) -> Callable[[], Samples]:
    ids = np.random.default_rng(0).integers(1, 50, (ROWS, length)).astype(dtype)
    constant = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return lambda: {name: constant.get(name, ids) for name in names}


def texts() -> Samples:
    return {"x": np.array([["red"], ["green"], ["blue"], ["red"]] * (ROWS // 4))}


def specimens() -> Iterator[Specimen]:
    from matrix import keras_models, onnx_models, other_models

    yield from keras_models.specimens()
    yield from onnx_models.specimens()
    yield from other_models.specimens()
