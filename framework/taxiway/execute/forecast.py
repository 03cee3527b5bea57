"""What a run would do with each step, without doing it: cached, run, or blocked by a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from taxiway.evaluate.gates import judge
from taxiway.execute.figures import compared
from taxiway.execute.history import History
from taxiway.execute.plan import Plan, PlannedStep
from taxiway.execute.result import Attempt
from taxiway.execute.store import Store

State = Literal["cached", "run", "blocked"]


@dataclass(frozen=True)
class Forecast:
    """One step of a plan and what would become of it; `why` is empty for a cached one."""

    step: PlannedStep
    state: State
    why: str


def forecast(plan: Plan, store: Store, impossible: Sequence[Attempt] = ()) -> list[Forecast]:
    """The state of every step. The store's entries are looked up, and verified only at the run."""
    history = History(store.root)
    blocked = _failing_gates(plan, store)
    lacking = {attempt.step: attempt.reason for attempt in impossible}
    found: list[Forecast] = []
    stopped: set[str] = set()
    for step in plan.steps:
        if step.name in lacking or stopped & {*step.uses.values()}:
            stopped.add(step.name)
            why = lacking.get(step.name, "a step before it is blocked")
            found.append(Forecast(step, "blocked", why))
        elif step.section == "deploy" and blocked:
            found.append(Forecast(step, "blocked", blocked))
        elif store.has(step.key):
            found.append(Forecast(step, "cached", ""))
        else:
            found.append(Forecast(step, "run", history.why(plan, step)))
    return found


def _failing_gates(plan: Plan, store: Store) -> str:
    """Why the gates would stop the run, where the figures are known already."""
    measured = {step.name: store.get(step.key) for step in plan.steps if step.section == "evaluate"}
    evaluate = plan.step("evaluate")
    gates = getattr(evaluate.options, "gates", None) if evaluate else None
    if not gates or not all(measured.values()):
        return ""
    return "; ".join(v.reason for v in judge(gates, compared(measured)) if not v.passed)
