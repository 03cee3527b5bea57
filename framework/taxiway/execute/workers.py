"""The worker processes of one run: one that measures on one thread, and one that trains on all cores."""

from __future__ import annotations

from pathlib import Path

from taxiway.execute.limits import StepLimits
from taxiway.execute.plan import PlannedStep
from taxiway.execute.worker import Worker


class Workers:
    """Each is started when a step first needs it; use as a context manager.

    A framework sets its number of threads, and much else, once per process: what a training sets must
    not be there when something is measured.
    """

    def __init__(self, limits: StepLimits, log: Path) -> None:
        self._measuring = Worker(limits, log)
        self._training = Worker(limits, log, {})

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._measuring.kill()
        self._training.kill()

    def of(self, step: PlannedStep) -> Worker:
        return self._training if step.implementation.trains else self._measuring
