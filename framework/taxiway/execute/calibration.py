"""Which samples the calibration doctor looks at: those of the pass, and the test split beside them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from taxiway.compose.recipe import Recipe
from taxiway.errors import StepError
from taxiway.plugins import TEST, Config, Dataset, Selection


def with_samples(
    options: Any, selection: Selection, recipe: Recipe, dataset: Dataset
) -> Config | None:
    """The doctor's options with what the recipe leaves open filled in; None where they cannot be
    read, which is the pass's to say."""
    with suppress(StepError):
        dataset.count(selection)
        return _filled(options, selection, recipe, dataset)
    return None


def _filled(options: Any, selection: Selection, recipe: Recipe, dataset: Dataset) -> Config:
    test = (recipe.section("evaluate") or {}).get("split") or TEST
    usual = {
        "split": selection.split,
        "samples": selection.samples,
        "labels": _labelled(dataset, selection.split),
        "test": test if test in dataset.splits else None,
    }
    left = {name: value for name, value in usual.items() if getattr(options, name, 0) is None}
    filled: Config = msgspec.structs.replace(options, **left)
    return filled


def _labelled(dataset: Dataset, split: str) -> bool:
    with suppress(StepError):
        return dataset.count(Selection(split, 1, labels=True)) > 0
    return False
