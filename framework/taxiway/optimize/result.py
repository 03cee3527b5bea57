"""The check after every pass: the result loads, and its inputs and outputs are those of before."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Format, Model, Signature, TensorSpec


def optimized(before: Model, path: Path, format: Format | None = None) -> Model:
    """The model at `path`, loaded once in its runtime and held against the model it came from.

    format: where the pass gives another one than it takes. Raises StepError that names the input or
    output that was lost, renamed or reshaped. A dtype
    may change: quantization does that.
    """
    from taxiway.model.inspect import describe
    from taxiway.model.runners import open_runner
    from taxiway.safety.keras_file import digest

    # Code that a pass writes anew is the code of the file that was trusted.
    after = describe(path, format or before.format, digest(path) if before.trusted else None)
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
    inputs = _with_layouts(before.signature.inputs, after.signature.inputs)
    outputs = _with_layouts(before.signature.outputs, after.signature.outputs)
    return replace(after, signature=Signature(inputs=inputs, outputs=outputs))


def _with_layouts(
    before: tuple[TensorSpec, ...], after: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    """A pass does not move channels, and a file does not say that they were moved."""
    return tuple(replace(new, layout=old.layout) for old, new in zip(before, after, strict=True))


def _shown(spec: TensorSpec) -> tuple[str, tuple[int | None, ...]]:
    return spec.name, tuple(axis if isinstance(axis, int) else None for axis in spec.shape)
