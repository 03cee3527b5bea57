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
"""Floors for the worst sample and element over that for all: no error is spread evenly."""
_FLOAT32 = 2.0**-23


@dataclass(frozen=True)
class Precision:
    """What may differ between two models, the coarser of which computes in this precision.

    unit: how far two neighbouring numbers are apart, relative to their size; with `grid`, relative
    to the range of a tensor. floor: a total error that is always accepted. unmeasured: the same for
    a model whose noise cannot be measured. cap: a total error that is never accepted.
    quantized: errors are relative to what varies from sample to sample. rounds: a step that rounds
    may turn over single samples; then only all of them together and the classes are judged.
    element: the floor of a single element over that of all.
    """

    name: Name
    unit: float
    floor: float
    unmeasured: float
    cap: float
    quantized: bool = False
    grid: bool = False
    rounds: bool = False
    element: float = _ELEMENT


def _floating(name: Name, digits: int, cap: float) -> Precision:
    unit = 2.0**-digits
    return Precision(name, unit, floor=4 * unit, unmeasured=16 * unit, cap=cap)


def _rounded(name: Name, steps: int, floor: float, unmeasured: float, cap: float) -> Precision:
    return Precision(
        name, 1 / steps, floor, unmeasured, cap, quantized=True, grid=True, rounds=True
    )


PRECISIONS: Mapping[Name, Precision] = {
    "fp32": _floating("fp32", 23, 1e-2),
    "fp16": _floating("fp16", 10, 0.1),
    "bf16": _floating("bf16", 7, 0.3),
    "int16": _rounded("int16", 65535, 0.1, 0.15, 0.3),
    "int8": _rounded("int8", 255, 0.3, 0.35, 0.5),
    "int4": _rounded("int4", 255, 0.4, 0.5, 0.6),
}
"""From the finest to the coarsest. Those of integers are for the step that quantizes: its weights
are rounded, of which a change of inputs says little, so the floors are those of good quantizers."""


def between(a: Name, b: Name, one_runtime: bool) -> Precision:
    """How models of these two precisions are compared.

    Two models that are quantized alike must agree better than a step that quantizes: in one runtime
    but for the rare value that float32 noise turns over; in two, whose integer kernels round
    differently, by a share of the steps.
    """
    coarser = PRECISIONS[max(a, b, key=[*PRECISIONS].index)]
    if a != b or not coarser.quantized:
        return coarser
    if one_runtime:
        # A quarter of a step of 1/255 is what one value turned over changes in all.
        floor = 0.25 / 255
        return Precision(
            coarser.name, _FLOAT32, floor, floor, cap=0.1, quantized=True, element=100.0
        )
    return replace(coarser, unit=coarser.unit / 16, floor=0.02, unmeasured=0.05, cap=0.3)


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
        return _spread(given, precision)
    cap = Deviation(precision.cap, _SAMPLE * precision.cap, 1.0)
    perturbed, kernels = noise.perturbed or NONE, noise.kernels or NONE
    seen = _SEEN * precision.unit
    if perturbed.total >= seen:
        floor = precision.floor
    elif kernels.total >= seen:
        floor = min(2 * precision.floor, precision.unmeasured)
    else:
        floor = precision.unmeasured
    limit = _spread(floor, precision).over(perturbed.times(PERTURBED))
    widened = kernels.times(KERNELS).within(limit.times(_KERNELS_AT_MOST))
    return limit.over(widened).within(cap)


def _spread(total: float, precision: Precision) -> Deviation:
    return Deviation(total, _SAMPLE * total, precision.element * total)
