"""Run a plan: each step from the store or in the worker, gates before deploy, the results in a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec

from taxiway.errors import (
    GateError,
    Interrupted,
    ParityError,
    StepError,
    WorkerError,
)
from taxiway.evaluate.gates import Verdict, judge
from taxiway.execute import events
from taxiway.execute.attempts import (
    Failures,
    all_failed,
    converts,
    impossible,
    next_way,
    settle,
)
from taxiway.execute.figures import compared
from taxiway.execute.folder import WORKER_LOG, RunFolder
from taxiway.execute.history import History
from taxiway.execute.limits import StepLimits
from taxiway.execute.lockfile import Lock, content
from taxiway.execute.plan import Plan, PlannedStep
from taxiway.execute.result import Attempt, RunResult, Status
from taxiway.execute.results import Results
from taxiway.execute.store import Store
from taxiway.execute.workers import Workers


def run_plan(
    plan: Plan,
    store: Store,
    folder: RunFolder,
    observers: Sequence[events.Observer] = (),
    lock: Lock | None = None,
    workers: Workers | None = None,
) -> RunResult:
    """Run every step that is not in the store yet, judge the gates, deploy, and write the report.

    lock: what the run may not differ from. workers: those that outlive this run; None: its own.
    Raises DriftError where it does, GateError (with `result`) where a gate failed, StepError where a step failed, and
    Interrupted on Ctrl-C; finished steps stay in the store in every case.
    """
    log = events.EventLog(folder.path / "events.jsonl", plan.recipe.redacted)
    try:
        run = _Run(plan, store, folder, (log, *observers), lock, workers)
        with _interruptible(run):
            return run.go()
    finally:
        log.close()
        folder.clean_log(plan.recipe.scrub)


@contextmanager
def _interruptible(run: _Run) -> Any:
    try:
        yield
    except KeyboardInterrupt:
        done = len(run.results.steps)
        raise Interrupted(
            f"interrupted; {done} of {len(run.plan.steps)} steps are finished and kept",
            "run the same command again to go on from there",
        ) from None


@dataclass
class _Run:
    plan: Plan
    store: Store
    folder: RunFolder
    observers: Sequence[events.Observer]
    lock: Lock | None
    workers: Workers | None
    failed: list[Attempt] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.results = Results(self.store, self._tell, self.lock)

    def go(self) -> RunResult:
        recipe = self.plan.recipe
        if self.lock:
            self.lock.check_plan(self.plan)
        else:
            settled = settle(recipe, self.store, self.plan)
            if settled.blocked:
                raise impossible(settled.blocked)
            self.plan, self.failed = settled.plan, list(settled.failed)
        names = [step.name for step in self.plan.steps]
        self._tell(events.RunStarted(name=recipe.name, folder=str(self.folder.path), steps=names))
        limits = StepLimits.of(recipe.common.limits)
        own = Workers(limits, self.folder.path / WORKER_LOG)
        with nullcontext(self.workers) if self.workers else own as workers:
            while not self._through(workers):
                pass
        return self._finish()

    def _through(self, workers: Workers) -> bool:
        """Do the plan's steps; False where its way to convert failed and another was taken up."""
        for step in self.plan.steps:
            if step.section == "deploy" and not self._accepted():
                break
            try:
                self.results.take(self.plan, step, workers, self.verdicts)
                if step.section == "parity":
                    self._prove(step)
            except StepError as error:
                if not converts(self.plan, step) or self.lock:
                    raise
                self._take_another_way(step, error)
                return False
            if step.name == "evaluate":
                self._judge(step)
        return True

    def _take_another_way(self, step: PlannedStep, error: StepError) -> None:
        """Go on with the next way to convert; raises the error where there is none."""
        formats = self.plan.routes[self.plan.route]
        self.failed.append(Attempt(formats=formats, step=step.name, reason=error.message))
        following = next_way(self.plan)
        if following is None:
            raise all_failed(self.failed, error)
        if step.section == "converter" and not isinstance(error, WorkerError):
            Failures(self.store.root).remember(step.key, error.message)
        self.plan = following
        names = [step.name for step in following.steps]
        way = list(following.routes[following.route])
        self._tell(events.WayChanged(step=step.name, formats=way, steps=names))

    def _prove(self, step: PlannedStep) -> None:
        """Raises ParityError, with what shows it kept in the run folder, where the model changed."""
        entry = self.results.entries[step.name]
        figures = entry.record["figures"]
        if figures["equal"]:
            return
        judged = step.uses["model"]
        kept = self.folder.keep_evidence(entry, judged)
        message = f"{judged} did not give the same model: {figures['reason']}"
        script = next(kept.rglob("reproduce.py"), None) if kept else None
        hint = f"reproduce it: python {script}" if script else "parity.tolerances sets the limits"
        self._tell(events.StepFailed(step=step.name, message=message, hint=hint))
        raise ParityError(message, hint)

    def _tell(self, event: events.Event) -> None:
        for observer in self.observers:
            observer(event)

    def _judge(self, step: PlannedStep) -> None:
        gates = getattr(step.options, "gates", None)
        self.verdicts = judge(gates, compared(self.results.entries)) if gates else []
        plain = [msgspec.to_builtins(verdict) for verdict in self.verdicts]
        self._tell(events.GatesJudged(passed=self._accepted(), verdicts=plain))

    def _accepted(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    def _finish(self) -> RunResult:
        figures, done = compared(self.results.entries), self.results.steps
        status: Status = "not accepted"
        if self._accepted():
            status = "accepted" if self.verdicts else "no gates"
        artifact = self.results.entries[self.plan.artifact.name]
        model = artifact.record["model"]
        result = RunResult(
            name=self.plan.recipe.name,
            status=status,
            folder=self.folder.path,
            seconds=time.monotonic() - self.started,
            steps=tuple(done[s.name] for s in self.plan.steps if s.name in done),
            way=self.plan.routes[self.plan.route] if self.plan.routes else (),
            failed_ways=tuple(self.failed),
            calibration=self.results.recorded(self.plan, "calibration", "figures"),
            parity=self.results.recorded(self.plan, "parity", "figures"),
            notes=self.results.recorded(self.plan, None, "notes"),
            told=self.results.recorded(self.plan, None, "told"),
            ledger=self.results.recorded(self.plan, "ledger", "figures").get("ledger", {}),
            warnings=tuple(problem.message for problem in self.plan.warnings),
            trusted=self.results.entries["source"].record["model"].get("trusted"),
            metrics=figures.get("subjects", {}),
            samples=figures.get("n"),
            verdicts=tuple(msgspec.to_builtins(verdict) for verdict in self.verdicts),
            artifact=self.folder.keep_artifact(
                artifact.files / model["path"], self.plan.recipe.name, status
            ),
            artifact_digest=artifact.digest(model["path"]),
            bundle=self.folder.keep_bundle(self.results.entries.get("deploy")),
            overrides=self.plan.recipe.overrides,
            licence=self.results.licence(self.plan),
        )
        self.folder.finish(result, self.plan, content(self.plan, self.results.entries))
        History(self.store.root).remember(self.plan)
        self._tell(events.RunFinished(status=status, seconds=result.seconds))
        if status == "not accepted":
            failed = [verdict for verdict in self.verdicts if not verdict.passed]
            raise NotAccepted(result, failed)
        return result


class NotAccepted(GateError):
    """A gate failed; `result` is the run as it stands, its artifact kept and marked not accepted."""

    def __init__(self, result: RunResult, failed: Sequence[Verdict]) -> None:
        self.result = result
        reasons = "; ".join(verdict.reason for verdict in failed)
        count = f"{len(failed)} gate{'s' if len(failed) != 1 else ''} failed"
        super().__init__(
            f"{count}: {reasons}", "nothing was deployed; the artifact is kept for inspection"
        )
