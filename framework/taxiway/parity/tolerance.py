"""How much two models may differ: a multiple of the model's own numerical noise, by precision.

A flat limit cannot tell rounding from a fault: correct conversions of an ill-conditioned model
differ by 1e-4 where a wrong epsilon in a well-conditioned one changes 1e-6. So the noise of the
model at hand is measured (see `perturb`), and the limit is a multiple of it. docs/parity.md has the
measurements that the numbers here were chosen by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from taxiway.parity.deviation import NONE, Deviation

Name = Literal["fp32", "fp16", "bf16", "int16", "int8", "int4"]

PERTURBED = 6.0
"""Correct conversions to other runtimes reached 3.2 times the noise of inputs off by one unit."""
KERNELS = 4.0
"""Another set of kernels of one runtime is itself a sample of the error that is judged."""
_SEEN = 0.25
"""Noise below this share of a unit comes from inputs that hardly matter, or from none."""
_KERNELS_AT_MOST = 5.0
"""A runtime's own defect must not excuse itself: kernels widen a limit by this factor at most."""
_SAMPLE, _ELEMENT = 3.0, 10.0
"""Limits for the worst sample and element over that for all, where the noise says no more."""


@dataclass(frozen=True)
class Precision:
    """Numbers of one precision.

    unit: how far two neighbouring numbers are apart, relative to their size; for a quantized
    precision, relative to the range of a tensor. floor: a total error that is always accepted.
    unmeasured: the same for a model whose noise cannot be measured. cap: a total error that is never
    accepted. rounding: the floor of a step that rounds a finer model's weights to this precision, of
    which inputs say nothing.
    """

    name: Name
    unit: float
    floor: float
    unmeasured: float
    cap: float
    rounding: float
    quantized: bool = False


def _floating(name: Name, digits: int, cap: float) -> Precision:
    unit = 2.0**-digits
    return Precision(name, unit, 4 * unit, 16 * unit, cap, rounding=4 * unit)


PRECISIONS: Mapping[Name, Precision] = {
    "fp32": _floating("fp32", 23, 1e-2),
    "fp16": _floating("fp16", 10, 0.1),
    "bf16": _floating("bf16", 7, 0.3),
    "int16": Precision("int16", 1 / 65535, 0.02, 0.1, 0.2, 0.08, quantized=True),
    "int8": Precision("int8", 1 / 255, 0.05, 0.3, 0.5, 0.2, quantized=True),
    "int4": Precision("int4", 1 / 255, 0.1, 0.4, 0.6, 0.4, quantized=True),
}
"""From the finest to the coarsest."""


def between(a: Name, b: Name) -> Precision:
    """The precision in which models of these two can be compared: the coarser one.

    Where only one of them has it, its rounding is part of what may differ.
    """
    order = list(PRECISIONS)
    coarser = PRECISIONS[max(a, b, key=order.index)]
    return coarser if a == b else replace(coarser, floor=coarser.rounding)


@dataclass(frozen=True)
class Noise:
    """What the model's own numerics do to one output, relative to its scale.

    perturbed: the reference with its inputs off by one unit of the precision; None where it has no
    real-valued input. kernels: the same model and inputs with other kernels; None where the runtime
    has one set.
    """

    perturbed: Deviation | None = None
    kernels: Deviation | None = None

    @property
    def measured(self) -> Deviation:
        return (self.perturbed or NONE).over(self.kernels or NONE)


def limits(precision: Precision, noise: Noise, given: float | None = None) -> Deviation:
    """The largest errors of one output that still count as the same model.

    given: the user's own limit for the total error.
    """
    if given is not None:
        return _spread(given)
    cap = Deviation(precision.cap, _SAMPLE * precision.cap, 1.0)
    perturbed, kernels = noise.perturbed or NONE, noise.kernels or NONE
    seen = _SEEN * precision.unit
    if perturbed.total >= seen:
        floor = precision.floor
    elif kernels.total >= seen:
        floor = 2 * precision.floor
    else:
        floor = precision.unmeasured
    limit = _spread(floor).over(perturbed.times(PERTURBED))
    widened = kernels.times(KERNELS).within(limit.times(_KERNELS_AT_MOST))
    return limit.over(widened).within(cap)


def _spread(total: float) -> Deviation:
    return Deviation(total, _SAMPLE * total, _ELEMENT * total)
