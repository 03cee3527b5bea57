"""What a step depends on besides its options: the steps before it, the data it reads, the recipe's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from taxiway.compose.recipe import Recipe
from taxiway.compose.redact import redact_options
from taxiway.execute.plan import PlannedStep
from taxiway.plugins import LICENCE, Config, Dataset, Selection, Step, registry


def inputs_of(
    recipe: Recipe,
    step: Step,
    options: Config,
    uses: Mapping[str, str],
    before: Sequence[PlannedStep],
    known: dict[Selection, str],
) -> dict[str, Any]:
    """Keys of the results that the step gets, fingerprints of the rows that it reads, and for a
    deployment what the bundle says of the recipe.

    known: fingerprints that were taken for other steps of the same plan; new ones are added.

    Raises ValueError where it reads samples and the recipe has none, StepError for a split that the
    data does not have.
    """
    keys = {planned.name: planned.key for planned in before}
    inputs: dict[str, Any] = {
        role: keys[name] for role, name in uses.items() if role.partition(".")[0] in step.needs
    }
    selections = step.reads(options)
    if selections:
        dataset = open_data(recipe)
        if dataset is None:
            raise ValueError(
                "it reads samples, but the recipe has no data section; add `- data: npz`"
            )
        inputs["data"] = _fingerprints(dataset, selections, known)
    if step.section in ("deploy", "calibration"):
        dataset = open_data(recipe)
        inputs["class_names"] = dataset.class_names if dataset else None
    if step.section == "deploy":
        evaluate = recipe.section("evaluate") or {}
        inputs["gates"] = evaluate.get("gates")
        inputs["recipe"] = _card(recipe, before)
    return inputs


def _card(recipe: Recipe, before: Sequence[PlannedStep]) -> dict[str, Any]:
    """What a bundle may say of its recipe and of the steps before it."""
    steps = [
        {"name": step.name, "plugin": step.parts["plugin"], "options": step.parts["options"]}
        for step in before
        if step.section not in ("parity", "calibration", "ledger")
    ]
    common = recipe.common
    card: dict[str, Any] = {
        "name": common.name,
        "description": common.description,
        "steps": steps,
    }
    licence = getattr(before[0].options, LICENCE, None)
    if licence:
        card[LICENCE] = licence
    plain: dict[str, Any] = redact_options(msgspec.to_builtins(card), recipe.secrets)
    return plain


def _fingerprints(
    dataset: Dataset, selections: Sequence[Selection], known: dict[Selection, str]
) -> dict[str, str]:
    """What is read -> its digest; a step may read few rows of a split for one thing, more for another."""
    found: dict[str, str] = {}
    for selection in selections:
        label = _label(selection)
        if label in found:
            label = f"{label}, {selection.samples or 'all'} rows"
        if selection not in known:
            known[selection] = dataset.fingerprint(selection)
        found[label] = known[selection]
    return found


def _label(selection: Selection) -> str:
    """The name of what is read; how many rows is one of the step's options."""
    return f"{selection.split} {'inputs and labels' if selection.labels else 'inputs'}"


def open_data(recipe: Recipe) -> Dataset | None:
    """The recipe's dataset; None where it has no data section."""
    if not recipe.section("data"):
        return None
    plugin = registry().get("data", recipe.options["data"]["type"])
    dataset: Dataset = plugin.implementation(None).open(recipe.typed(("data",)), recipe.common.seed)
    return dataset
