"""What one step may use."""

from __future__ import annotations

import os
from dataclasses import dataclass

from taxiway.compose.recipe_config import Limits
from taxiway.plugins.quantity import seconds, size_in_bytes

_SHARE = 0.8


@dataclass(frozen=True)
class StepLimits:
    """memory: bytes. seconds: wall time."""

    memory: int
    seconds: float

    @classmethod
    def of(cls, limits: Limits) -> StepLimits:
        memory = size_in_bytes(limits.memory) if limits.memory else int(_SHARE * machine_memory())
        return cls(memory, seconds(limits.time))


def machine_memory() -> int:
    """Bytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
