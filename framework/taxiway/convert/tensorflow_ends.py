"""Inputs and outputs of a TensorFlow function as a recipe wants them: sizes, order of axes, dtype.

TensorFlow and LiteRT have the channels of images last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from taxiway.convert.dims import resized
from taxiway.convert.ends import EndsConfig, with_dtype, with_sizes
from taxiway.errors import StepError
from taxiway.model import Layout, Model, Signature, TensorSpec
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.model.layout import RANKS, axes_to, other, require_images, with_layout

Serve = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Tensors by input name to tensors by output name."""


def wanted_ends(model: Model, options: EndsConfig) -> Model:
    """What the result must take and give; what becomes of the outputs' sizes is open where an input
    gets another size than a fixed one. Raises StepError as `with_sizes` and `require_images`."""
    open_outputs = bool(resized(model.signature, options.sizes))
    model = with_sizes(model, options)
    if options.io_layout:
        require_images(model.signature, options.io_layout, "convert.io_layout")

    def side(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(with_dtype(_laid_out(spec, options.io_layout), options) for spec in specs)

    outputs = side(model.signature.outputs)
    if open_outputs:
        outputs = tuple(replace(spec, shape=UNKNOWN_RANK) for spec in outputs)
    return replace(model, signature=Signature(inputs=side(model.signature.inputs), outputs=outputs))


def _laid_out(spec: TensorSpec, layout: Layout | None) -> TensorSpec:
    has = spec.layout or "nhwc"
    return (
        with_layout(spec, layout)
        if layout not in (None, has) and len(spec.shape) in RANKS
        else spec
    )


def with_ends(serve: Serve, source: Model, wanted: Model) -> Any:
    """The ConcreteFunction of `serve`, which computes `source`, with the ends of `wanted`.

    Raises StepError where the function insists on its own sizes.
    """
    import tensorflow as tf

    before, after = source.signature, wanted.signature
    specs = {spec.name: _tensor_spec(spec) for spec in after.inputs}

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def reshaped(**tensors: Any) -> dict[str, Any]:
        inputs = {
            new.name: _inside(tensors[new.name], old, new)
            for old, new in zip(before.inputs, after.inputs, strict=True)
        }
        results = serve(inputs)
        return {
            new.name: _outside(results[new.name], old, new)
            for old, new in zip(before.outputs, after.outputs, strict=True)
        }

    try:
        return reshaped.get_concrete_function(**specs)
    except (AssertionError, TypeError, ValueError) as error:
        if before.inputs == after.inputs:
            raise
        reason = str(error).strip().splitlines()[-1]
        raise StepError(
            f"'{source.path.name}' insists on its own sizes "
            f"({', '.join(map(str, before.inputs))}) and cannot take "
            f"{', '.join(map(str, after.inputs))}: {reason}",
            "keep them fixed, or export the model again with free axes",
        ) from error


def _tensor_spec(spec: TensorSpec) -> Any:
    import tensorflow as tf

    dtype = tf.string if spec.dtype == "str" else spec.dtype
    shape = None if "..." in spec.shape else [s if isinstance(s, int) else None for s in spec.shape]
    return tf.TensorSpec(shape, dtype, spec.name)


def _inside(tensor: Any, old: TensorSpec, new: TensorSpec) -> Any:
    """A new input as the function takes it; LiteRT transposes float32 only."""
    import tensorflow as tf

    tensor = tf.cast(tensor, old.dtype) if old.dtype != new.dtype else tensor
    if old.layout == new.layout:
        return tensor
    return tf.transpose(tensor, axes_to(old.layout or other(new.layout), len(old.shape)))


def _outside(tensor: Any, old: TensorSpec, new: TensorSpec) -> Any:
    """What the function gives as a new output."""
    import tensorflow as tf

    if old.layout != new.layout:
        tensor = tf.transpose(tensor, axes_to(new.layout or other(old.layout), len(old.shape)))
    return tf.cast(tensor, new.dtype) if old.dtype != new.dtype else tensor
