"""Where two models that should be the same begin to differ: at which operator, and by how much."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from taxiway.errors import StepError, TaxiwayError
from taxiway.model.model import Model
from taxiway.parity.align import Alignment
from taxiway.parity.feeds import SAMPLES, SEARCHED, assign, batch_of, feed
from taxiway.parity.localize import absorbed, align, locate
from taxiway.parity.names import output_pairs
from taxiway.parity.pair import Pair
from taxiway.parity.relative import EPS32, extent, relative_error
from taxiway.parity.reproducer import write_reproducer
from taxiway.parity.search import Culprit
from taxiway.parity.trace import Trace, open_trace
from taxiway.parity.values import Values

Array = np.ndarray[Any, Any]
Range = tuple[float, float] | None
SHARPER = (1.0, 0.1, 0.01)
"""Tolerances tried in turn, as shares of the given one, while the outputs differ and no operator
is over it: small errors can grow on their way to the output."""
FLOOR = 32 * EPS32
"""The sharpest tolerance: what float32 operators of two libraries differ by anyway."""


class InputRange(msgspec.Struct, frozen=True, kw_only=True):
    """Smallest and largest value that an input of the operator had; None for text."""

    tensor: str
    range: Range


class Introduced(msgspec.Struct, frozen=True, kw_only=True):
    """The error that one operator adds of its own."""

    operator: str
    op_type: str
    tensor: str
    error: float


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first operator of the candidate that introduces an error.

    operator, op_type: of the candidate, as its file names it.
    reference_operator, reference_type: what it should equal in the reference; None where unknown.
    tensor, reference_tensor: the output that is wrong, and the one it should equal.
    introduced: relative error of the output when the operator is fed with the reference's tensors
    (`taxiway.parity.relative`); None where the operator has no counterpart to compare with.
    inherited: relative difference that errors made before it cause in its output.
    tolerance: what `introduced` was held against.
    region: names of the operators that had to be taken together, where it cannot be told which of
    them it is or where they cannot be run alone; `operator` is the likeliest.
    reproducer: folder of the one-operator reproducer, relative to the folder asked for; None where
    none could be written.
    """

    operator: str
    op_type: str
    reference_operator: str | None
    reference_type: str | None
    tensor: str
    reference_tensor: str | None
    introduced: float | None
    inherited: float
    tolerance: float
    inputs: tuple[InputRange, ...]
    expected: Range
    actual: Range
    region: tuple[str, ...] = ()
    reproducer: str | None = None

    def sentence(self) -> str:
        """One sentence for people."""
        what = f"{self.op_type} '{self.operator}' is the first operator that goes wrong"
        if self.introduced is None:
            what += ": no tensor of the reference takes the place of its result"
        else:
            what += (
                f": fed with the reference's tensors, '{self.tensor}' is off by "
                f"{_size(self.introduced)} (allowed {self.tolerance:.1e})"
            )
        if self.reference_operator is not None:
            what += f", compared with {self.reference_type} '{self.reference_operator}'"
        ranges = [f"{_span(item.range)}" for item in self.inputs if item.range is not None]
        what += f"; inputs {', '.join(ranges)}" if ranges else ""
        if self.expected is not None and self.actual is not None:
            what += f"; expected {_span(self.expected)}, found {_span(self.actual)}"
        others = ", ".join(f"'{name}'" for name in self.region if name != self.operator)
        if others:
            what += f"; it could be told only together with {others}"
        return what + "."


def _size(error: float) -> str:
    return f"{error:.1e} of its scale" if np.isfinite(error) else "more than its scale"


def _span(range_: Range) -> str:
    return "text" if range_ is None else f"{range_[0]:.4g} to {range_[1]:.4g}"


def first_divergence(
    reference: Model,
    candidate: Model,
    inputs: Mapping[str, Array],
    tolerance: float,
    folder: Path,
) -> Divergence | None:
    """The first operator of `candidate` that introduces an error, with a reproducer in `folder`.

    inputs: real values by input name, `[n, ...]` each; the samples on which the outputs differ most
    are used. tolerance: the relative error that an operator may have of its own; where the outputs
    differ by more than that and no operator does, it is lowered. None where the outputs agree, and
    where no operator can be blamed. Raises StepError where a model cannot be opened or run on these
    inputs at all.
    """
    try:
        return _search(reference, candidate, inputs, tolerance, folder)
    except TaxiwayError:
        raise
    except Exception as error:
        # A model may hold what no adapter foresees; the comparison that failed is still to be told.
        raise StepError(
            f"the operators of {candidate.path.name} cannot be followed: "
            f"{type(error).__name__}: {error}"
        ) from error


def _search(
    reference: Model,
    candidate: Model,
    inputs: Mapping[str, Array],
    tolerance: float,
    folder: Path,
) -> Divergence | None:
    with tempfile.TemporaryDirectory(prefix="taxiway-trace-") as scratch:
        pair = compare(reference, candidate, inputs, Path(scratch))
        for share in SHARPER:
            level = max(tolerance * share, FLOOR)
            alignment = align(pair, level)
            culprit = locate(pair, alignment)
            differs = outputs_error(pair) > tolerance
            if culprit is None and differs and pair.coarse:
                culprit = absorbed(pair, alignment)
            if culprit is not None:
                return _report(pair, alignment, culprit, folder)
            if not differs or level == FLOOR:
                return None
    return None


def largest_errors(
    reference: Model, candidate: Model, inputs: Mapping[str, Array], count: int = 5
) -> list[Introduced]:
    """The operators that introduce the largest errors, the largest first, whether or not they are
    over a tolerance. Operators without a counterpart in the reference are left out."""
    with tempfile.TemporaryDirectory(prefix="taxiway-trace-") as scratch:
        pair = compare(reference, candidate, inputs, Path(scratch))
        alignment = align(pair, 0.25 if _quantized(pair) else 1e-3)
        found: list[Introduced] = []
        for op in pair.candidate.operators:
            results = alignment.execute(op) if op.fed else None
            for name, value in (results or {}).items():
                state = alignment.state(name)
                if state is None or not state.matches:
                    continue
                match = state.matches[0]
                expected = match.layout.arrange(pair.expected[match.name], value.shape)
                found.append(
                    Introduced(
                        operator=op.name,
                        op_type=op.type,
                        tensor=name,
                        error=relative_error(value, expected),
                    )
                )
        return sorted(found, key=lambda item: -item.error)[:count]


def _quantized(pair: Pair) -> bool:
    step = pair.candidate.step
    return any(step(name) is not None for op in pair.candidate.operators for name in op.outputs)


def compare(reference: Model, candidate: Model, inputs: Mapping[str, Array], scratch: Path) -> Pair:
    """Both models opened, with all their tensors on the samples on which they differ most.

    Files go to `scratch`. A candidate that cannot be run as a whole is taken as it is: its
    operators are run one by one.
    """
    traces = [
        open_trace(model, scratch / name)
        for model, name in ((reference, "reference"), (candidate, "candidate"))
    ]
    arrays = [assign(trace.model, inputs) for trace in traces]
    rows = _rows(traces, arrays)
    stores: list[Values] = []
    for trace, given, name in zip(traces, arrays, ("reference", "candidate"), strict=True):
        values = Values(scratch / name)
        feeds = _by_tensor(trace, feed(trace.model, given, rows))
        for tensor, value in feeds.items():
            values.add(tensor, trace.represent(tensor, value))
        names = dict.fromkeys(out for op in trace.operators for out in op.outputs)
        try:
            values.fill(trace.values(feeds, [*names, *trace.outputs]))
        except StepError:
            if trace is traces[0]:
                raise
        stores.append(values)
    return Pair(traces[0], traces[1], stores[0], stores[1])


def _by_tensor(trace: Trace, arrays: Mapping[str, Array]) -> dict[str, Array]:
    specs = trace.model.signature.inputs
    return {tensor: arrays[spec.name] for tensor, spec in zip(trace.inputs, specs, strict=True)}


def _rows(traces: list[Trace], arrays: list[dict[str, Array]]) -> Array | None:
    """The samples on which the outputs differ most, in their order; the first ones where that
    cannot be found out."""
    batch = batch_of(traces[0].model, traces[1].model)
    counts = {len(array) for given in arrays for array in given.values() if array.ndim}
    if len(counts) != 1 or any(not array.ndim for given in arrays for array in given.values()):
        return None
    n = counts.pop()
    size = batch or 1
    errors: list[float] = []
    pairs = output_pairs(*traces)
    for start in range(0, min(n, SEARCHED), size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        try:
            outputs = [
                dict(trace.values(_by_tensor(trace, feed(trace.model, given, rows)), trace.outputs))
                for trace, given in zip(traces, arrays, strict=True)
            ]
        except StepError:
            break
        errors.append(max((_distance(outputs[1][b], outputs[0][a]) for a, b in pairs), default=0.0))
    order = np.argsort(errors, kind="stable")[::-1] if errors else np.arange(1)
    if batch:
        return np.minimum(np.arange(order[0] * size, order[0] * size + size), n - 1)
    return np.sort(order[:SAMPLES]) if errors else np.arange(min(n, SAMPLES))


def _distance(actual: Array, expected: Array) -> float:
    if actual.shape == expected.shape:
        return relative_error(actual, expected)
    return relative_error(np.sort(actual, axis=None), np.sort(expected, axis=None))


def outputs_error(pair: Pair) -> float:
    """The largest relative error among the outputs of the whole models."""
    return max(
        (
            _distance(pair.actual[mine], pair.expected[other])
            for other, mine in pair.outputs
            if mine in pair.actual and other in pair.expected
        ),
        default=float("inf"),
    )


def _report(pair: Pair, alignment: Alignment, culprit: Culprit, folder: Path) -> Divergence:
    op, tensor = culprit.operator, culprit.tensor
    ways = [alignment.undecided(op), *alignment.regions(op)]
    region = next((way for way in ways if alignment.runs(way, op)), [op])
    feeds = {
        name: value
        for member in region
        for name in member.fed
        if (value := alignment.value(name)) is not None
        and not any(name in other.outputs for other in region)
    }
    results = alignment.execute(op) or {}
    actual = results.get(tensor)
    expected = culprit.expected
    introduced = inherited = None
    if actual is not None and expected is not None:
        introduced = relative_error(actual, expected)
        if tensor in pair.actual:
            inherited = relative_error(pair.actual[tensor], actual)
    maker = pair.reference_producers.get(culprit.counterpart or "")
    written = None
    if actual is not None and expected is not None:
        written = write_reproducer(
            pair.candidate, region, feeds, {tensor: expected}, {tensor: actual},
            alignment.tolerance, folder,
        )  # fmt: skip
    return Divergence(
        operator=op.name,
        op_type=op.type,
        reference_operator=maker.name if maker else None,
        reference_type=maker.type if maker else None,
        tensor=tensor,
        reference_tensor=culprit.counterpart,
        introduced=introduced,
        inherited=inherited or 0.0,
        tolerance=alignment.tolerance,
        inputs=tuple(InputRange(tensor=name, range=extent(v)) for name, v in feeds.items()),
        expected=None if expected is None else extent(expected),
        actual=None if actual is None else extent(actual),
        region=tuple(member.name for member in region) if len(region) > 1 else (),
        reproducer=written.relative_to(folder).as_posix() if written else None,
    )
