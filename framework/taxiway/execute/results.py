"""The results of a run: each step's from the store, or made by the worker and published."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from taxiway.errors import StepError, TaxiwayError
from taxiway.evaluate.gates import Verdict
from taxiway.execute import events
from taxiway.execute.figures import compared
from taxiway.execute.located import local_options
from taxiway.execute.lockfile import Lock
from taxiway.execute.plan import CHAIN, Plan, PlannedStep
from taxiway.execute.result import StepResult
from taxiway.execute.store import Entry, Store
from taxiway.execute.workers import Workers
from taxiway.fetch.licence import stated
from taxiway.plugins import LICENCE


@dataclass
class Results:
    """What the steps of a run gave so far. tell: gets what happens. lock: what no entry may differ
    from."""

    store: Store
    tell: events.Observer
    lock: Lock | None
    entries: dict[str, Entry] = field(default_factory=dict)
    steps: dict[str, StepResult] = field(default_factory=dict)

    def take(
        self, plan: Plan, step: PlannedStep, workers: Workers, verdicts: Sequence[Verdict]
    ) -> Entry:
        """The step's entry: of this run, from the store, or made now.

        verdicts: what the gates said so far, for a deployment. Raises what the step raised, with
        environment values taken out, and DriftError where the lock says otherwise.
        """
        if step.name in self.steps and self.steps[step.name].key == step.key:
            return self.entries[step.name]
        started = time.monotonic()
        entry = self.store.get(step.key)
        cached = entry is not None
        if entry is None:
            self.tell(events.StepStarted(step=step.name))
            with self.store.owned(step.key, lambda: self._waiting(step)):
                entry = self.store.get(step.key)
                cached = entry is not None
                if entry is None:
                    entry = self._work(plan, step, workers, verdicts)
        if self.lock:
            self.lock.check_entry(step, entry)
        self.entries[step.name] = entry
        result = StepResult(
            name=step.name,
            plugin=f"{step.section}.{step.plugin.name}",
            key=step.key,
            cached=cached,
            seconds=time.monotonic() - started if not cached else entry.record["seconds"],
            peak_memory=entry.record.get("peak_memory"),
        )
        self.steps[step.name] = result
        self.tell(
            events.StepFinished(
                step=step.name,
                key=step.key,
                cached=cached,
                seconds=result.seconds,
                peak_memory=result.peak_memory,
            )
        )

        return entry

    def _waiting(self, step: PlannedStep) -> None:
        self.tell(events.StepStarted(step=step.name, waiting=True))

    def _work(
        self, plan: Plan, step: PlannedStep, workers: Workers, verdicts: Sequence[Verdict]
    ) -> Entry:
        started = time.monotonic()

        def progress(done: int, total: int | None, unit: str) -> None:
            self.tell(events.StepProgress(step=step.name, done=done, total=total, unit=unit))

        with self.store.workdir(step.key) as workdir:
            try:
                recipe, scratch = plan.recipe, workdir.parent
                with local_options(
                    recipe, step.section, step.options, self.store.root, scratch, progress
                ) as given:
                    task = {**self._task(plan, step, workdir, verdicts), "options": given.options}
                    answer = workers.of(step).run(step.name, task, progress)
                if step.reads_outside and not step.unchanged():
                    raise StepError(
                        f"{step.name}: a file that it reads changed while it ran; nothing was kept",
                        "run the same command again",
                    )
            except TaxiwayError as error:
                scrub = plan.recipe.scrub
                error.message, error.args = scrub(error.message), (scrub(error.message),)
                error.hint = scrub(error.hint) if error.hint else None
                self.tell(events.StepFailed(step=step.name, message=error.message, hint=error.hint))
                raise
            record = {
                **answer,
                **({LICENCE: given.licence} if given.licence else {}),
                "step": step.name,
                "recipe": plan.recipe.name,
                "parts": plan.public_parts(step),
                "seconds": time.monotonic() - started,
                "created": time.time(),
            }
            return self.store.publish(step.key, workdir, record)

    def _task(
        self, plan: Plan, step: PlannedStep, workdir: Path, verdicts: Sequence[Verdict]
    ) -> dict[str, Any]:
        data = plan.recipe.section("data")
        reads = "data" in step.parts["inputs"]
        task: dict[str, Any] = {
            "name": step.name,
            "section": step.section,
            "plugin": step.plugin.name,
            "takes": step.takes,
            "options": msgspec.to_builtins(step.options),
            "workdir": str(workdir),
            "seed": plan.recipe.common.seed,
            "data": {"plugin": data["type"], "options": data} if data and reads else None,
            "recipe": self._card(plan, step),
            "checkpoints": str(self.store.checkpoints(step.key)),
        }
        if step.section == "parity":
            task["approximates"] = plan.named(step.uses["model"]).implementation.approximates
        for role, name in step.uses.items():
            entry = self.entries[name]
            if role == "evaluation":
                plain = [msgspec.to_builtins(verdict) for verdict in verdicts]
                task["figures"] = {**compared(self.entries), "verdicts": plain}
            elif role.startswith(CHAIN):
                planned = plan.named(name)
                stage = {"step": name, "plugin": planned.plugin.name, "root": str(entry.files)}
                task.setdefault("chain", []).append({**stage, "model": entry.record["model"]})
            else:
                kind = "figures" if role == "baseline" else "model"
                task[role] = {kind: entry.record[kind], "root": str(entry.files)}
        return task

    def _card(self, plan: Plan, step: PlannedStep) -> dict[str, Any] | None:
        """What a bundle may say of its recipe; the licence of a fetched model is known only now."""
        card: dict[str, Any] | None = step.parts["inputs"].get("recipe")
        return {**card, LICENCE: self.licence(plan)} if card else None

    def licence(self, plan: Plan) -> str | None:
        """What the recipe says of its model's licence, else what the model's own files state."""
        chosen = getattr(plan.steps[0].options, LICENCE, None)
        return stated(chosen, self.entries["source"].record.get(LICENCE))

    def recorded(self, plan: Plan, section: str | None, what: str) -> dict[str, Any]:
        """Step -> what its record holds, for the steps that were done."""
        done = [s for s in plan.steps if s.name in self.entries]
        chosen = [s for s in done if section in (None, s.section)]
        # A pass and its proof have one name here; only one of them holds what is asked for.
        records = [(s.name.removeprefix("parity."), self.entries[s.name].record) for s in chosen]
        return {name: record[what] for name, record in records if record.get(what)}
