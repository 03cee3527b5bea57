"""The check after every conversion: the result loads, and takes and gives what the source did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Format, Model, Signature, TensorSpec


def converted(source: Model, path: Path, format: Format) -> Model:
    """The model at `path`, loaded once in its runtime and held against its source.

    Tensors are paired by name where both sides use the same names, else by position. Raises
    StepError that names the first tensor whose dtype, rank or a fixed axis differs, or an input
    that lost a free axis; a quantized tensor may have become a real one. A tensor has the layout of
    its source. Numbers are not compared: that takes real samples.
    """
    from taxiway.model.inspect import describe
    from taxiway.model.runners import open_runner

    result = describe(path, format)
    open_runner(result)
    before, after = source.signature, result.signature
    signature = Signature(
        inputs=_compared("input", before.inputs, after.inputs, format),
        outputs=_compared("output", before.outputs, after.outputs, format),
    )
    return replace(result, signature=signature)


def _compared(
    kind: str, before: Sequence[TensorSpec], after: Sequence[TensorSpec], format: Format
) -> tuple[TensorSpec, ...]:
    """The specs after the conversion, with the layouts of those before."""
    if len(before) != len(after):
        raise StepError(
            f"the {format} result has {len(after)} {kind}s "
            f"({', '.join(map(str, after)) or 'none'}), "
            f"the source has {len(before)} ({', '.join(map(str, before)) or 'none'})"
        )
    by_name = {spec.name: spec for spec in after}
    same_names = by_name.keys() == {spec.name for spec in before}
    layouts = {}
    for position, old in enumerate(before):
        new = by_name[old.name] if same_names else after[position]
        now_real = old.quantized and new.dtype == "float32"
        if not (old.dtype == new.dtype or now_real) or not _fits(kind, old.shape, new.shape):
            raise StepError(f"{kind} '{old.name}' is {old} in the source and {new} in the {format}")
        layouts[new.name] = old.layout
    return tuple(replace(spec, layout=layouts[spec.name]) for spec in after)


def _fits(kind: str, before: tuple[int | str, ...], after: tuple[int | str, ...]) -> bool:
    """Whether shapes agree; a converter may fix or free an axis of an output, not of an input."""
    if "..." in (*before, *after):
        return True
    if len(before) != len(after):
        return False
    for old, new in zip(before, after, strict=True):
        both_fixed = isinstance(old, int) and isinstance(new, int)
        if (both_fixed or kind == "input") and old != new and not _free(old, new):
            return False
    return True


def _free(old: int | str, new: int | str) -> bool:
    return isinstance(old, str) and isinstance(new, str)
