"""A reference and a candidate with all their tensors on the same inputs."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np

from taxiway.parity.names import common_names, output_pairs
from taxiway.parity.trace import Operator, Trace
from taxiway.parity.values import Values

Array = np.ndarray[Any, Any]


class Pair:
    """A reference and a candidate with all their tensors on the same inputs."""

    def __init__(
        self, reference: Trace, candidate: Trace, expected: Values, actual: Values
    ) -> None:
        self.reference, self.candidate = reference, candidate
        self.expected, self.actual = expected, actual
        self.named = {
            name: other
            for name, other in common_names(reference, candidate).items()
            if other in expected
        }
        self.outputs = output_pairs(reference, candidate)

    @cached_property
    def producers(self) -> dict[str, Operator]:
        return {name: op for op in self.candidate.operators for name in op.outputs}

    @cached_property
    def consumers(self) -> dict[str, list[Operator]]:
        found: dict[str, list[Operator]] = {}
        for op in self.candidate.operators:
            for name in op.fed:
                found.setdefault(name, []).append(op)
        return found

    @cached_property
    def _reference_grids(self) -> set[bytes]:
        steps = (
            self.reference.step(name) for op in self.reference.operators for name in op.outputs
        )
        return {_grid(step) for step in steps if step is not None}

    @cached_property
    def _reference_integers(self) -> set[bytes]:
        """The contents of the reference's own quantized weights."""
        found = set()
        for name in {name for op in self.reference.operators for name in op.constants}:
            if self.reference.step(name) is not None:
                found.add(_content(self.reference.constant(name)))
        return found

    def step(self, name: str, value: Array, constant: bool) -> Array | float | None:
        """The candidate's step of a quantized tensor, which the reference has not: rounding that
        both sides do alike explains no difference."""
        step = self.candidate.step(name)
        if step is None:
            return None
        if constant:
            known = self._reference_integers
            return None if known and _content(value) in known else step
        return None if _grid(step) in self._reference_grids else step

    @cached_property
    def coarse(self) -> bool:
        """Whether the candidate holds computed tensors in steps that the reference has not."""
        steps = (
            self.candidate.step(name) for op in self.candidate.operators for name in op.outputs
        )
        return any(s is not None and _grid(s) not in self._reference_grids for s in steps)

    @cached_property
    def reference_producers(self) -> dict[str, Operator]:
        return {name: op for op in self.reference.operators for name in op.outputs}

    @cached_property
    def reference_consumers(self) -> dict[str, list[Operator]]:
        found: dict[str, list[Operator]] = {}
        for op in self.reference.operators:
            for name in op.fed:
                found.setdefault(name, []).append(op)
        return found


def _grid(step: Array | float) -> bytes:
    return np.asarray(step, np.float32).tobytes()


def _content(value: Array | None) -> bytes:
    array = np.ascontiguousarray(value)
    return hashlib.blake2b(array.tobytes(), digest_size=16).digest()
