"""The ways to convert, one after the other: which one a run takes, and what is known of those that failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taxiway.compose.recipe import Recipe
from taxiway.errors import PluginError, RecipeError, StepError
from taxiway.execute.plan import Plan, PlannedStep
from taxiway.execute.planner import make_plan
from taxiway.execute.preflight import preflight
from taxiway.execute.result import Attempt
from taxiway.execute.store import Store


class Failures:
    """Why a conversion failed, by step key, kept in the store: a run that knows another way does not
    try the same thing again. The key holds options and versions, so a change of them is tried anew."""

    def __init__(self, root: Path) -> None:
        self._root = root / "failed"

    def known(self, key: str) -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((self._root / f"{key}.json").read_bytes())["reason"])
        return None

    def remember(self, key: str, reason: str) -> None:
        """Where the disk refuses, the failure is met again."""
        with suppress(OSError):
            self._root.mkdir(exist_ok=True)
            scratch = self._root / f".{key}"
            scratch.write_text(json.dumps({"reason": reason}))
            scratch.replace(self._root / f"{key}.json")


def converts(plan: Plan, step: PlannedStep) -> bool:
    """Whether the step is part of the conversion: a converter, or the proof of one."""
    if step.section == "parity":
        return plan.named(step.uses["model"]).section == "converter"
    return step.section == "converter"


def known_failure(plan: Plan, store: Store) -> Attempt | None:
    """What the store knows against the plan's way to convert."""
    failures = Failures(store.root)
    for step in plan.steps:
        if not converts(plan, step):
            continue
        reason = failures.known(step.key)
        if step.section == "parity" and store.has(step.key):
            entry = store.get(step.key)
            figures = entry.record["figures"] if entry else {"equal": True}
            reason = None if figures["equal"] else str(figures["reason"])
        if reason:
            return Attempt(formats=plan.routes[plan.route], step=step.name, reason=reason)
    return None


@dataclass(frozen=True)
class Settled:
    """The plan to run, the better ways before it that are known to fail, and, where no way can work
    because a target lacks what the model has, those that it lacks: then nothing should run."""

    plan: Plan
    failed: tuple[Attempt, ...]
    blocked: tuple[Attempt, ...] = ()


def settle(recipe: Recipe, store: Store, plan: Plan | None = None) -> Settled:
    """The first way of which no failure is known, from `plan`'s own on.

    Where all are known to fail, the first one that preflight lets through is tried again.
    """
    failed: list[Attempt] = []
    impossible: list[Attempt] = []
    possible: list[Plan] = []
    current: Plan | None = plan or make_plan(recipe)
    first = current
    while current is not None:
        lacking = preflight(current, store)
        attempt = lacking or known_failure(current, store)
        if attempt is None:
            return Settled(current, tuple(failed))
        failed.append(attempt)
        if lacking:
            impossible.append(lacking)
        else:
            possible.append(current)
        current = next_way(current)
    assert first is not None
    if possible:
        return Settled(possible[0], ())
    return Settled(first, (), tuple(impossible))


def next_way(plan: Plan) -> Plan | None:
    """The plan with the next way to convert that these options and this environment allow; None
    where there is no other."""
    for route in range(plan.route + 1, len(plan.routes)):
        with suppress(RecipeError, PluginError):
            following = make_plan(plan.recipe, route)
            following.check_installed()
            return following
    return None


def all_failed(failed: Sequence[Attempt], last: StepError) -> StepError:
    """The error that names every way and where it ended; `last` itself where there was one way."""
    if len(failed) == 1:
        return last
    return StepError("every way to convert failed:\n" + _listed(failed), last.hint)


def impossible(blocked: Sequence[Attempt]) -> StepError:
    """The error for a model that no way to its target, or one of its passes, can take."""
    passes = [attempt for attempt in blocked if attempt.step.startswith("optimize.")]
    if len(passes) == len(blocked):
        first = passes[0]
        hint = f"drop the pass: '~{first.step}'"
        return StepError(f"{first.step}: {first.reason}; nothing was run", hint)
    return StepError(
        "no way leads to the target; nothing was run:\n" + _listed(blocked),
        "choose another target, such as convert=onnx, or change the operators in the model",
    )


def _listed(attempts: Sequence[Attempt]) -> str:
    return "\n".join(f"  {' -> '.join(a.formats)}: at {a.step}: {a.reason}" for a in attempts)
