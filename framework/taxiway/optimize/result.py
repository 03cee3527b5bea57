"""The check after every pass: the result loads, and its inputs and outputs are those of before."""

from __future__ import annotations

from pathlib import Path

from taxiway.errors import StepError
from taxiway.model import Model, TensorSpec


def optimized(before: Model, path: Path) -> Model:
    """The model at `path`, loaded once in its runtime and held against the model it came from.

    Raises StepError that names the input or output that was lost, renamed or reshaped. A dtype
    may change: quantization does that.
    """
    from taxiway.model.inspect import describe
    from taxiway.model.runners import open_runner

    after = describe(path, before.format)
    open_runner(after)
    for kind, old, new in (
        ("inputs", before.signature.inputs, after.signature.inputs),
        ("outputs", before.signature.outputs, after.signature.outputs),
    ):
        if [_shown(spec) for spec in old] != [_shown(spec) for spec in new]:
            raise StepError(
                f"the pass changed the {kind}: {', '.join(map(str, old))} "
                f"became {', '.join(map(str, new))}"
            )
    return after


def _shown(spec: TensorSpec) -> tuple[str, tuple[int | None, ...]]:
    return spec.name, tuple(axis if isinstance(axis, int) else None for axis in spec.shape)
