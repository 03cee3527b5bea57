"""Latency of several loaded models by turns, so that a slow minute of the machine falls on all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from taxiway.model.runners import Runner


@dataclass(frozen=True)
class Timing:
    """Quartiles of the seconds that one call took."""

    p25: float
    p50: float
    p75: float


WARM_UP = 3
MIN_ROUNDS = 5


def interleaved(
    runners: Sequence[Runner],
    samples: Sequence[Mapping[str, np.ndarray[Any, Any]]],
    *,
    rounds: int = 100,
    seconds: float = 1.0,
) -> list[Timing]:
    """How long one call of each runner takes, over rounds in which each is called once.

    samples: what a call gets, one after the other. The order turns with every round. It ends after
    `rounds`, or after `seconds` of time, but not before 5 rounds.
    """
    for runner in runners:
        for turn in range(WARM_UP):
            runner.predict(samples[turn % len(samples)])
    taken: list[list[float]] = [[] for _ in runners]
    end = time.perf_counter() + seconds
    for turn in range(rounds):
        if turn >= MIN_ROUNDS and time.perf_counter() > end:
            break
        for place in range(len(runners)):
            at = (place + turn) % len(runners)
            sample = samples[turn % len(samples)]
            start = time.perf_counter()
            runners[at].predict(sample)
            taken[at].append(time.perf_counter() - start)
    return [Timing(*statistics.quantiles(times, n=4, method="inclusive")) for times in taken]
