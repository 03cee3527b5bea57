"""What the next steps cannot take, read from the model's file before anything runs."""

from __future__ import annotations

from pathlib import Path

from taxiway.errors import TaxiwayError
from taxiway.execute.plan import Plan, PlannedStep
from taxiway.execute.result import Attempt
from taxiway.execute.store import Store


def preflight(plan: Plan, store: Store) -> Attempt | None:
    """The first step of the plan's way that lacks what the model has, and what that is.

    Only models that are there already are looked at: the source, and what the store holds.
    """
    for step in plan.steps:
        if step.section not in ("converter", "optimize", "deploy"):
            continue
        path = _model(plan, step, store)
        missing = _lacks(step, path) if path else ()
        if missing:
            formats = plan.routes[plan.route] if plan.routes else ()
            what = step.gives or step.plugin.name
            reason = f"{what} has nothing for {', '.join(missing)}"
            if step.section == "optimize":
                reason = f"{step.plugin.name} cannot be applied: {'; '.join(missing)}"
            return Attempt(formats=formats, step=step.name, reason=reason)
    return None


def _lacks(step: PlannedStep, path: Path) -> tuple[str, ...]:
    """A file that cannot be read is the source step's to explain."""
    try:
        return step.plugin.implementation(step.takes).lacks(path, step.options)  # type: ignore[no-any-return]
    except (OSError, ValueError, TaxiwayError):
        return ()


def _model(plan: Plan, step: PlannedStep, store: Store) -> Path | None:
    """Where the model that the step gets lies; None where it was not made yet."""
    maker = plan.named(step.uses["model"])
    if maker.section == "source":
        path = Path(getattr(maker.options, "path", ""))
        return path if path.exists() else None
    if not store.has(maker.key):
        return None
    entry = store.get(maker.key)
    return entry.files / entry.record["model"]["path"] if entry else None
