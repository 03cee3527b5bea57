"""Judges two models' outputs, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from taxiway.parity.arrange import aligned
from taxiway.parity.deviation import (
    NONE,
    Deviation,
    deviation,
    distances,
    mismatch,
    plain,
    real,
    same_specials,
    scale_of,
    spread_of,
)
from taxiway.parity.tolerance import PERTURBED, Noise, Precision, limits

Array = np.ndarray[Any, Any]

_FLIPS = 1e-3
"""Share of a large integer tensor that rounding may turn over: pixels, indices of equal values."""
_LARGE = 1000
_DECIDED = 8
"""Samples from which on the agreement of a quantized classifier says something."""
_AGREE = 0.5


@dataclass(frozen=True)
class Judgement:
    """One output: its errors against their limits, and what is wrong with it, if anything.

    agreement: for class scores, the share of samples whose class is the same; those that the noise
    alone could turn over are not counted as different.
    """

    name: str
    reference_name: str
    error: Deviation = NONE
    limit: Deviation = NONE
    noise: Noise = field(default_factory=Noise)
    scale: float = 1.0
    agreement: float | None = None
    fault: str | None = None
    worst_sample: int | None = None

    @property
    def equal(self) -> bool:
        return self.fault is None

    @property
    def excess(self) -> float:
        """How many times the limit the error is, by the measure that fails most."""
        pairs = (
            (self.error.total, self.limit.total),
            (self.error.sample, self.limit.sample),
            (self.error.element, self.limit.element),
        )
        return max(error / limit if limit else (np.inf if error else 0.0) for error, limit in pairs)

    def to_dict(self) -> dict[str, Any]:
        """JSON. `error`, `tolerance`, `noise`: relative to `scale`, over all elements."""
        made = {
            "name": self.name,
            "reference_name": self.reference_name,
            "error": _finite(self.error.total),
            "tolerance": _finite(self.limit.total),
            "noise": _finite(self.noise.measured.total),
            "worst_sample": _finite(self.error.sample),
            "worst_sample_tolerance": _finite(self.limit.sample),
            "worst_element": _finite(self.error.element),
            "worst_element_tolerance": _finite(self.limit.element),
            "max_abs": _finite(self.error.element * self.scale),
            "scale": _finite(self.scale),
            "equal": self.equal,
        }
        if self.agreement is not None:
            made["agreement"] = self.agreement
        if self.fault is not None:
            made["fault"] = self.fault
        return made


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True)
class Observed:
    """An output of one model, and how much its own numerics move it."""

    name: str
    values: Array
    noise: Noise = field(default_factory=Noise)
    flips: float = 0.0


def judge(
    reference: Observed, candidate: Observed, precision: Precision, given: float | None = None
) -> Judgement:
    """Compare one output `[n, ...]` of both models, quantized ones as real values.

    Integers, booleans and text must be equal, but for the share that the reference's own noise
    turns over (ties of an argmax). Real values are judged by `tolerance.limits`.
    """
    output = Judgement(candidate.name, reference.name)
    a, b = reference.values, candidate.values
    placed = aligned(a, b)
    if placed is None:
        return replace(output, fault=f"has shape {list(b.shape)}, expected {list(a.shape)}")
    if _is_text(a) != _is_text(b):
        return replace(output, fault=f"has dtype {b.dtype}, expected {a.dtype}")
    if _is_exact(a) and _is_exact(placed):
        return _exact(output, a, placed, reference.flips, precision)
    return _measured(output, a, placed, reference.noise, candidate.noise, precision, given)


def _is_text(values: Array) -> bool:
    return values.dtype.kind in "SUO"


def _is_exact(values: Array) -> bool:
    return values.dtype.kind in "biuSUO"


def _exact(output: Judgement, a: Array, b: Array, flips: float, precision: Precision) -> Judgement:
    share = mismatch(a, b)
    allowed = PERTURBED * flips
    if precision.rounds:
        allowed = max(allowed, 1 - _AGREE)
    elif a.size >= _LARGE:
        allowed = max(allowed, _FLIPS)
    numeric = a.dtype.kind not in "SUO"
    largest = float(np.max(distances(a, b))) if numeric and a.size else share
    fault = None
    if share > allowed:
        first = np.argwhere(plain(a) != plain(b))[0].tolist() if a.ndim else []
        fault = (
            f"differs in {100 * share:.3g} % of its {a.size:,} values (first at {first}), "
            f"{100 * allowed:.3g} % may"
        )
    return replace(
        output,
        error=Deviation(share, share, largest),
        limit=Deviation(allowed, 1.0, float("inf")),
        noise=Noise(perturbed=Deviation(flips, flips, 0.0)),
        fault=fault,
    )


def _measured(
    output: Judgement,
    a: Array,
    b: Array,
    noise: Noise,
    other: Noise,
    precision: Precision,
    given: float | None,
) -> Judgement:
    scale = spread_of(a) if precision.quantized else scale_of(a)
    error = deviation(a, b, scale)
    # The scale of the noise was taken from the same reference values.
    both = Noise(noise.perturbed, (noise.kernels or NONE).over(other.kernels or NONE))
    limit = limits(precision, both, given)
    agreement = _agreement(a, b, both.measured.element * scale)
    made = replace(
        output,
        error=error,
        limit=limit,
        noise=both,
        scale=scale,
        agreement=None if agreement is None else agreement[0],
        worst_sample=_worst(a, b),
    )
    if a.size and np.isnan(real(a)).all():
        return replace(made, fault="is NaN all over in the reference, which proves nothing")
    if not same_specials(a, b):
        return replace(made, fault=_specials(a, b))
    if precision.rounds:
        # A sample that changes its class moves by its whole size: the worst one says nothing here.
        if error.total > limit.total:
            return replace(made, fault=_too_far("over all values", error.total, limit.total))
        if agreement and agreement[1] >= _DECIDED and agreement[0] < _AGREE:
            flipped = f"names another class in {100 * (1 - agreement[0]):.0f} % of samples"
            return replace(made, fault=flipped)
        return made
    if error.total > limit.total:
        return replace(made, fault=_too_far("relative", error.total, limit.total))
    if error.sample > limit.sample:
        where = f"relative in sample {made.worst_sample}"
        return replace(made, fault=_too_far(where, error.sample, limit.sample))
    if error.element > limit.element:
        index = np.unravel_index(int(np.argmax(_errors(a, b))), a.shape) if a.ndim else ()
        where = f"relative at {[int(i) for i in index]}"
        return replace(made, fault=_too_far(where, error.element, limit.element))
    return made


def _too_far(where: str, error: float, limit: float) -> str:
    return f"differs by {error:.2g} {where}, {error / limit:.3g} times the tolerance of {limit:.2g}"


def _errors(a: Array, b: Array) -> Array:
    error: Array = np.nan_to_num(distances(a, b), nan=0.0, posinf=0.0)
    return error


def _worst(a: Array, b: Array) -> int | None:
    if a.ndim == 0 or not a.size:
        return None
    return int(np.argmax((_errors(a, b) ** 2).reshape(len(a), -1).mean(axis=1)))


def _specials(a: Array, b: Array) -> str:
    counts = [int((~np.isfinite(real(values))).sum()) for values in (b, a)]
    return f"has {counts[0]} NaN or infinite values, expected {counts[1]} at the same places"


def _agreement(a: Array, b: Array, noise: float) -> tuple[float, int] | None:
    """(share of samples with the same class, samples) for probabilities `[n, k]`, else None."""
    if a.ndim != 2 or a.shape[1] < 2 or not a.size:
        return None
    scores = real(a)
    if not (scores >= -1e-3).all() or np.abs(scores.sum(axis=1) - 1).max() > 0.02:
        return None
    two = np.partition(scores, -2, axis=1)[:, -2:]
    decided = two[:, 1] - two[:, 0] > 2 * noise
    flipped = scores.argmax(axis=1) != real(b).argmax(axis=1)
    return float(1 - (flipped & decided).mean()), len(scores)


def pair(
    reference: Sequence[Observed], candidate: Sequence[Observed]
) -> list[tuple[Observed, Observed]] | None:
    """Outputs that belong together: of one name, else by position, else in the order of their names.

    Names that a converter made up (`StatefulPartitionedCall:2`) count the outputs sorted by name.
    None where the numbers of outputs differ, or no order fits the shapes.
    """
    if len(reference) != len(candidate):
        return None
    known = {output.name: output for output in candidate}
    paired = {output.name: known[output.name] for output in reference if output.name in known}
    used = {output.name for output in paired.values()}
    left = [output for output in reference if output.name not in paired]
    free = [output for output in candidate if output.name not in used]
    if left:
        from taxiway.model.load_saved_model import natural_key

        by_name = [sorted(side, key=lambda o: natural_key(o.name)) for side in (left, free)]
        for mine, others in ((left, free), tuple(by_name)):
            if all(
                aligned(a.values, b.values) is not None for a, b in zip(mine, others, strict=True)
            ):
                break
        else:
            mine, others = left, free
        paired |= {a.name: b for a, b in zip(mine, others, strict=True)}
    return [(output, paired[output.name]) for output in reference]
