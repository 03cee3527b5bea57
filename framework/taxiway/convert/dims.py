"""Dimensions by name: which axes a name means, and the signature after they are fixed or freed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec

FREE: Literal["dynamic"] = "dynamic"
BATCH = "batch"
Size = int | Literal["dynamic"]
Axis = tuple[str, int]
"""An input's name and the number of the axis."""


def chosen_axes(signature: Signature, dims: Mapping[str, Size]) -> dict[Axis, int | str]:
    """What becomes of which axis of the inputs: a size, or the name of the axis once it is free.

    A name means every axis that has it. `batch` means, where no axis has that name, the free first
    axes, and where none is free, the first axis of every input. `INPUT[N]` is one axis. Raises
    StepError for a name that fits none, with those there are.
    """
    changes: dict[Axis, int | str] = {}
    for name, size in dims.items():
        axes = _named(signature, name)
        if not axes:
            raise StepError(
                f"no input has a dimension '{name}'; there are: "
                f"{', '.join(_names(signature)) or 'none'} (inputs: "
                f"{', '.join(map(str, signature.inputs)) or 'none'})",
                "name one of these under convert.dims",
            )
        for axis in axes:
            old = _size(signature, axis)
            if size == FREE:
                changes[axis] = old if isinstance(old, str) else _free_name(axis, name)
            else:
                changes[axis] = size
    return {axis: new for axis, new in changes.items() if new != _size(signature, axis)}


def resized(signature: Signature, dims: Mapping[str, Size]) -> dict[Axis, int | str]:
    """Of the changes, those of axes that were fixed: the graph may insist on their sizes."""
    changes = chosen_axes(signature, dims)
    return {axis: new for axis, new in changes.items() if isinstance(_size(signature, axis), int)}


def with_dims(signature: Signature, dims: Mapping[str, Size]) -> Signature:
    """The signature after `dims`: the inputs' axes, and the outputs' of the same names.

    A free axis of an output gets the size that every axis of its name among the inputs gets. What
    else becomes of the outputs follows from the graph: it is not said here.
    """
    changes = chosen_axes(signature, dims)
    sizes: dict[str, set[int | str]] = {}
    for axis, old in _axes(signature):
        if isinstance(old, str):
            sizes.setdefault(old, set()).add(changes.get(axis, old))
    new = {name: found.pop() for name, found in sizes.items() if len(found) == 1}
    return Signature(
        inputs=tuple(
            _with(spec, [changes.get((spec.name, n), old) for n, old in enumerate(spec.shape)])
            for spec in signature.inputs
        ),
        outputs=tuple(
            _with(spec, [new.get(old, old) if isinstance(old, str) else old for old in spec.shape])
            for spec in signature.outputs
        ),
    )


def _with(spec: TensorSpec, shape: Sequence[int | str]) -> TensorSpec:
    return replace(spec, shape=tuple(shape))


def _size(signature: Signature, axis: Axis) -> int | str:
    return next(spec.shape[axis[1]] for spec in signature.inputs if spec.name == axis[0])


def _axes(signature: Signature) -> Iterator[tuple[Axis, int | str]]:
    for spec in signature.inputs:
        for position, size in enumerate(spec.shape):
            if size != "...":
                yield (spec.name, position), size


def _named(signature: Signature, name: str) -> list[Axis]:
    found = [axis for axis, size in _axes(signature) if size == name]
    if found:
        return found
    single = [axis for axis, _ in _axes(signature) if f"{axis[0]}[{axis[1]}]" == name]
    if single or name != BATCH:
        return single
    first = [(axis, size) for axis, size in _axes(signature) if axis[1] == 0]
    free = [axis for axis, size in first if isinstance(size, str)]
    return free or [axis for axis, _ in first]


def _free_name(axis: Axis, name: str) -> str:
    """What a freed axis is called: as a free one without a name of its own is described."""
    return BATCH if axis[1] == 0 else name if name.isidentifier() else f"dim_{axis[1]}"


def _names(signature: Signature) -> list[str]:
    names = [size for _, size in _axes(signature) if isinstance(size, str)]
    fixed = [f"{at[0]}[{at[1]}]" for at, size in _axes(signature) if isinstance(size, int)]
    batch = [BATCH] if any(spec.shape for spec in signature.inputs) else []
    return list(dict.fromkeys([*batch, *names, *fixed]))
