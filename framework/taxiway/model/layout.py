"""Channels second or last: the two orders of an image's axes, of a volume's too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model.model import Layout, Model, Signature, TensorSpec

RANKS = (4, 5)
"""Ranks that are taken for images and volumes; a tensor of rank 3 is a sequence as often."""

T = TypeVar("T")


def other(layout: Layout | None) -> Layout:
    """The other of the two; of None, which a tensor in the data's own order has, there is none."""
    assert layout, "a tensor in the data's own order has no other layout"
    return "nhwc" if layout == "nchw" else "nchw"


def axes_to(layout: Layout, rank: int) -> tuple[int, ...]:
    """The permutation that brings a tensor of the other layout into this one, as `transpose` takes it."""
    return (0, rank - 1, *range(1, rank - 1)) if layout == "nchw" else (0, *range(2, rank), 1)


def shape_in(layout: Layout, shape: Sequence[T]) -> tuple[T, ...]:
    """The shape of a tensor of the other layout in this one."""
    return tuple(shape[axis] for axis in axes_to(layout, len(shape)))


def with_layout(spec: TensorSpec, layout: Layout) -> TensorSpec:
    """The spec with its channels moved; one that is moved back is as it was."""
    moved = None if spec.layout else layout
    return replace(spec, shape=shape_in(layout, spec.shape), layout=moved)


def require_images(signature: Signature, layout: Layout, option: str) -> None:
    """Raise StepError, which calls the wish `option`, where no input or output can have a layout."""
    specs = (*signature.inputs, *signature.outputs)
    if not any(len(spec.shape) in RANKS for spec in specs):
        raise StepError(
            f"{option}={layout}: no input or output is an image (rank 4 or 5): "
            f"{', '.join(map(str, specs))}",
            f"leave {option} out",
        )


def data_shape(spec: TensorSpec) -> tuple[int | str, ...]:
    """The shape that the recipe's data has for a tensor, and that runners take and give."""
    return shape_in(other(spec.layout), spec.shape) if spec.layout else spec.shape


def in_file_order(model: Model) -> Model:
    """The model for callers who have their data in the order of the file."""

    def plain(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(replace(spec, layout=None) for spec in specs)

    signature = Signature(
        inputs=plain(model.signature.inputs), outputs=plain(model.signature.outputs)
    )
    return replace(model, signature=signature)


def axes_to_file(spec: TensorSpec) -> tuple[int, ...] | None:
    """How the recipe's data is transposed into the file's order; None where both are the same."""
    return axes_to(spec.layout, len(spec.shape)) if spec.layout else None


def axes_to_data(spec: TensorSpec) -> tuple[int, ...] | None:
    """How what the file gives is transposed into the order of the recipe's data."""
    return axes_to(other(spec.layout), len(spec.shape)) if spec.layout else None
