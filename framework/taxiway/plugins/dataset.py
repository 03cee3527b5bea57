"""What a data plugin gives: named splits, read in batches, with a fingerprint of exactly what a step reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

CALIBRATION = "calibration"
TEST = "test"
TRAIN = "train"
VALIDATION = "validation"


@dataclass(frozen=True)
class Selection:
    """The part of a dataset that one step reads; only this part enters the step's cache key.

    samples: the first n rows in the split's own order; None takes all.
    labels: whether the labels are read, too. unlabelled: what a recipe without labels can do instead,
    as words of a hint.
    """

    split: str
    samples: int | None = None
    labels: bool = False
    unlabelled: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Batch:
    """Preprocessed inputs by name, each `[n, ...]`, and labels `[n]` where they were selected."""

    inputs: dict[str, np.ndarray[Any, Any]]
    labels: np.ndarray[Any, Any] | None


class Dataset(Protocol):
    """Opened by a data plugin; cheap to open, reads in a stream."""

    @property
    def class_names(self) -> tuple[str, ...] | None: ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in the recipe's order."""
        ...

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What is done to a raw sample before the model sees it, as data; a bundle carries it."""
        ...

    def count(self, selection: Selection) -> int:
        """Rows in the selection. Raises StepError where the split does not exist."""
        ...

    def fingerprint(self, selection: Selection) -> str:
        """Digest of the selected rows, their labels where selected, and the preprocessing."""
        ...

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        """The selected rows in order, at most `size` at a time."""
        ...
