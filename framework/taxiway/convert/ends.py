"""What every target can be told of a model's inputs and outputs, and what they must be then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from taxiway.convert.dims import FREE, Size, with_dims
from taxiway.model import Layout, Model, TensorSpec
from taxiway.plugins import Config

FLOATS = ("float16", "float32", "float64", "bfloat16")
"""What `io_dtype` changes: integers, booleans and text stay as they are."""


class EndsConfig(Config, frozen=True):
    """Options of the inputs and outputs, common to all targets."""

    batch: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Short for `dims: {batch: N}`. Recurrent layers in TFLite and "
            "microcontrollers need a fixed batch; null keeps it as it is.",
        ),
    ] = None
    dims: Annotated[
        dict[str, Annotated[int, Meta(ge=1)] | Literal["dynamic"]],
        Meta(
            description="Sizes of free axes by name, or `dynamic` to free a fixed one. Names are "
            "those of the signature; `batch` is also the first axis, `INPUT[N]` is axis N of an "
            "input."
        ),
    ] = msgspec.field(default_factory=dict)
    io_layout: Annotated[
        Layout | None,
        Meta(
            description="Where images (rank 4) and volumes (rank 5) have their channels at the "
            "inputs and outputs; null keeps the source's order. Data stays in the source's order."
        ),
    ] = None
    io_dtype: Annotated[
        Literal["float32", "float16"] | None,
        Meta(description="The dtype of real inputs and outputs; null keeps the source's."),
    ] = None

    def __post_init__(self) -> None:
        if self.batch is not None and self.dims.get("batch", self.batch) != self.batch:
            raise ValueError(f"batch {self.batch} contradicts dims.batch {self.dims['batch']}")

    @property
    def sizes(self) -> Mapping[str, Size]:
        """`dims` with the shorthand `batch` in it."""
        return self.dims | ({} if self.batch is None else {"batch": self.batch})

    @property
    def keeps_ends(self) -> bool:
        """Whether inputs and outputs stay as they are."""
        return not (self.sizes or self.io_layout or self.io_dtype)

    @property
    def frees(self) -> bool:
        """Whether an axis is to be freed, which a graph may not allow."""
        return FREE in self.sizes.values()


def with_sizes(model: Model, options: EndsConfig) -> Model:
    """The model as the options' sizes make it: what the result must take and give.

    Raises StepError for a name that no axis has.
    """
    return replace(model, signature=with_dims(model.signature, options.sizes))


def with_dtype(spec: TensorSpec, options: EndsConfig) -> TensorSpec:
    if options.io_dtype and spec.dtype in FLOATS:
        return replace(spec, dtype=options.io_dtype)
    return spec
