"""What a proof or a ledger reads, filled in from the rest of the recipe, and what is said where it is absent."""

from __future__ import annotations

from typing import Any

import msgspec

from taxiway.compose.recipe import Recipe
from taxiway.plugins import CALIBRATION, TEST, Config, Dataset

NO_SAMPLES = (
    "no samples prove that the model stays the same: the recipe has no data section",
    "add `- data: npz` with samples; or parity.allow_random=true for random ones, which the report "
    "then says; or parity=null to go without proof",
)
"""Message and hint."""


def with_split(options: Any, recipe: Recipe, dataset: Dataset | None) -> Config:
    """The options with their split filled in where the recipe leaves it open: the one that the
    evaluation reads, else the usual ones, else the first there is."""
    filled: Config = options
    if dataset is not None and getattr(options, "split", "") is None:
        evaluate = recipe.section("evaluate") or {}
        wanted = (evaluate.get("split"), TEST, CALIBRATION, *dataset.splits)
        split = next((name for name in wanted if name in dataset.splits), None)
        filled = msgspec.structs.replace(options, split=split)
    return filled


def with_evaluation(options: Any, recipe: Recipe) -> Config:
    """The options with the recipe's own evaluation filled in where they leave it open; its gates judge
    the result alone."""
    filled: Config = options
    evaluate = recipe.section("evaluate")
    if evaluate and getattr(options, "evaluate", "") is None:
        plain = msgspec.to_builtins(recipe.typed(("evaluate",)))
        plain.pop("gates", None)
        filled = msgspec.structs.replace(options, evaluate=plain)
    return filled
