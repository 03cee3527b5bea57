"""Latency of two models, measured in turns, so that a busy machine is busy for both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taxiway.model import Model

if TYPE_CHECKING:
    import numpy as np

WARM_UP = 5
MIN_CALLS, MAX_CALLS = 10, 300
TIME_BUDGET = 1.5
"""Seconds for all timed calls, once there are `MIN_CALLS`."""


def medians(models: Sequence[Model], inputs: dict[str, np.ndarray[Any, Any]]) -> tuple[float, ...]:
    """The median seconds of each model for one sample, on one thread. inputs: `[n, ...]` each."""
    import numpy as np

    from taxiway.model.runners import open_runner

    runners = [open_runner(model) for model in models]
    count = len(next(iter(inputs.values())))
    samples = [{name: array[at : at + 1] for name, array in inputs.items()} for at in range(count)]
    taken: list[list[float]] = [[] for _ in runners]
    end = time.perf_counter() + TIME_BUDGET
    for call in range(WARM_UP + MAX_CALLS):
        if call >= WARM_UP + MIN_CALLS and time.perf_counter() > end:
            break
        for runner, times in zip(runners, taken, strict=True):
            start = time.perf_counter()
            runner.predict(samples[call % count])
            times.append(time.perf_counter() - start)
    return tuple(float(np.median(times[WARM_UP:])) for times in taken)
