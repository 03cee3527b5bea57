"""What each layer means for the channels that pass it, and the sizes that follow from a width.

Channels are the last axis. A layer that is not known here keeps the channels that it gets, and those
that it gives, so that it means the same as before. Rates of dropout shrink with the width: the fewer
units there are, the less there is to spare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from taxiway.optimize.distill.student.build import Changes
from taxiway.optimize.distill.student.extents import FIXED, Extent, Groups, concatenated
from taxiway.optimize.distill.student.unrolled import Call, Value

SIZE_OPTIONS = {
    **dict.fromkeys(("Dense", "LSTM", "GRU", "SimpleRNN"), "units"),
    **{f"Conv{n}D": "filters" for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": "filters" for n in (1, 2, 3)},
    **{f"SeparableConv{n}D": "filters" for n in (1, 2)},
    **{f"ConvLSTM{n}D": "filters" for n in (1, 2, 3)},
    "Embedding": "output_dim",
}
"""Layer -> the option that sets how many channels it gives."""
NORMS = {"BatchNormalization", "LayerNormalization", "RMSNormalization", "PReLU"}
"""Layers with weights for each channel, whose number follows from the input."""
JOINS = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide", "TrueDivide"}
MOVES = {
    "Permute",
    "Transpose",
    "Swapaxes",
    "Moveaxis",
    "Reshape",
    "Flatten",
    "Flip",
    "Roll",
    "Lambda",
}
"""May give the shape that they got with other axes."""
RESHAPES = {"Reshape": ("target_shape", "newshape"), "Flatten": ()}


class Channels:
    """Goes through the calls once; `changes` then gives the sizes."""

    def __init__(self, inputs: Mapping[Value, Extent]) -> None:
        self.groups = Groups()
        self.extents: dict[Value, Extent] = dict(inputs)
        self._own: dict[int, Extent] = {}
        self._sizes: list[tuple[int, Callable[[float], dict[str, Any]]]] = []

    def see(self, call: Call, kept: bool) -> None:
        out = self._out(call)
        for value, extent in zip(call.outputs, out, strict=True):
            self.extents[value] = extent
        if kept:
            self.groups.pin(*out)

    def changes(self, width: float) -> Changes:
        found: dict[int, dict[str, Any]] = {}
        for operation, sizes in self._sizes:
            changed = sizes(width)
            if changed:
                found.setdefault(operation, {}).update(changed)
        return found

    def _out(self, call: Call) -> list[Extent]:
        rate = getattr(call.operation, "rate", None)
        if "Dropout" in call.kind and rate:
            self._sizes.append((id(call.operation), lambda width: {"rate": round(rate * width, 4)}))
        given = [self.extents[value] for value in call.inputs]
        kind, outputs = call.kind, call.outputs
        if not _channels_last(call):
            return self._opaque(call, given)
        if kind in SIZE_OPTIONS:
            return self._producer(call, given)
        if kind == "Bidirectional":
            return self._bidirectional(call, given)
        if kind == "TimeDistributed" and type(call.operation.layer).__name__ in SIZE_OPTIONS:
            return self._producer(call, given, "layer")
        if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
            return [self.groups.times(given[0], Fraction(call.operation.depth_multiplier))]
        if kind == "MultiHeadAttention" and call.operation.get_config()["output_shape"] is None:
            return self._attention(call, given)
        if kind in NORMS and len(given) == 1:
            return self._norm(call, given)
        if kind == "GroupNormalization" and call.operation.groups > 0:
            self.groups.divide(given[0], call.operation.groups)
            return given
        if kind == "Concatenate":
            return self._concatenate(call, given)
        if kind in JOINS:
            return self._join(call, given)
        if kind in RESHAPES and len(given) == 1:
            return self._reshape(call, given)
        if len(given) == len(outputs) == 1 and _passes(call):
            return given
        return self._opaque(call, given)

    def _opaque(self, call: Call, given: Sequence[Extent]) -> list[Extent]:
        self.groups.pin(*given)
        return [FIXED] * len(call.outputs)

    def _producer(self, call: Call, given: Sequence[Extent], *wrapped: str) -> list[Extent]:
        """wrapped: the config's entries of the layers inside, for a wrapper of layers that are alike."""
        operation = call.operation
        layer = (
            operation
            if not wrapped
            else getattr(operation, "forward_layer", None) or operation.layer
        )
        option = SIZE_OPTIONS[type(layer).__name__]
        own = self._own.get(id(operation))
        if own is None:
            own = self._own[id(operation)] = self.groups.new(getattr(layer, option))
            sizes = self._of_layer(operation, layer, option, own, wrapped)
            self._sizes.append((id(operation), sizes))
        groups = getattr(layer, "groups", 1)
        if groups > 1:
            self.groups.divide(own, groups)
            self.groups.divide(given[0], groups)
        for state in given[1:]:
            self.groups.join(own, state)
        return [own] * len(call.outputs)

    def _of_layer(
        self, operation: Any, layer: Any, option: str, own: Extent, wrapped: tuple[str, ...]
    ) -> Callable[[float], dict[str, Any]]:
        before = getattr(layer, option)

        def sizes(width: float) -> dict[str, Any]:
            after = self.groups.scaled(own, width)
            if after == before:
                return {}
            if not wrapped:
                return {option: after}
            config = operation.get_config()
            return {
                entry: {**config[entry], "config": {**config[entry]["config"], option: after}}
                for entry in wrapped
            }

        return sizes

    def _bidirectional(self, call: Call, given: Sequence[Extent]) -> list[Extent]:
        wrapper = call.operation
        ahead, back = wrapper.forward_layer, wrapper.backward_layer
        option = SIZE_OPTIONS.get(type(ahead).__name__)
        alike = (
            type(ahead) is type(back) and option and getattr(ahead, option) == getattr(back, option)
        )
        if not alike or len(given) > 1 or len(call.outputs) > 1:
            return self._opaque(call, given)
        (own,) = self._producer(call, given, "layer", "backward_layer")
        return [concatenated((own, own)) if wrapper.merge_mode == "concat" else own]

    def _attention(self, call: Call, given: Sequence[Extent]) -> list[Extent]:
        if id(call.operation) not in self._own:
            config = call.operation.get_config()
            self._own[id(call.operation)] = FIXED
            for option in ("key_dim", "value_dim"):
                own = self.groups.new(config[option])
                self._sizes.append((id(call.operation), self._of_attention(option, own)))
        return [given[0], *[FIXED] * (len(call.outputs) - 1)]

    def _of_attention(self, option: str, own: Extent) -> Callable[[float], dict[str, Any]]:
        before = self.groups.scaled(own, 1.0)

        def sizes(width: float) -> dict[str, Any]:
            after = self.groups.scaled(own, width)
            return {} if after == before else {option: after}

        return sizes

    def _norm(self, call: Call, given: list[Extent]) -> list[Extent]:
        axis = getattr(call.operation, "axis", -1)
        axes = [axis] if isinstance(axis, int) else list(axis)
        rank = len(call.inputs[0].shape)
        if [at % rank for at in axes] == [rank - 1] or call.kind == "PReLU":
            return given
        return self._opaque(call, given)

    def _concatenate(self, call: Call, given: list[Extent]) -> list[Extent]:
        axis, rank = call.operation.axis, len(call.outputs[0].shape)
        if axis % rank != rank - 1:
            return [self._joined(given)]
        if not any(given) or any(value.width is None for value in call.inputs):
            return self._opaque(call, given)
        parts = zip(given, call.inputs, strict=True)
        return [
            concatenated(extent or self.groups.fixed(value.width or 0) for extent, value in parts)
        ]

    def _join(self, call: Call, given: list[Extent]) -> list[Extent]:
        import numpy as np

        width = call.outputs[0].width
        if any(np.ndim(item) and np.shape(item)[-1] != 1 for item in _constants(call)):
            return self._opaque(call, given)
        wide = [
            extent for extent, value in zip(given, call.inputs, strict=True) if value.width == width
        ]
        return [self._joined(wide)]

    def _joined(self, extents: Sequence[Extent]) -> Extent:
        first = extents[0]
        for other in extents[1:]:
            first = self.groups.join(first, other)
        return first

    def _reshape(self, call: Call, given: list[Extent]) -> list[Extent]:
        before, after = call.inputs[0].shape, call.outputs[0].shape
        old, new = before[-1], after[-1]
        if not given[0] or not old or not new or None in before[1:] or None in after[1:]:
            return self._opaque(call, given)
        out = self.groups.times(given[0], Fraction(new, old))
        for option in RESHAPES[call.kind]:
            shape = list(getattr(call.operation, option, ()) or ())
            if shape and shape[-1] != -1:
                self._sizes.append((id(call.operation), self._of_shape(option, shape, out)))
        return [out]

    def _of_shape(
        self, option: str, shape: list[int], out: Extent
    ) -> Callable[[float], dict[str, Any]]:
        def sizes(width: float) -> dict[str, Any]:
            after = self.groups.scaled(out, width)
            return {} if after == shape[-1] else {option: [*shape[:-1], after]}

        return sizes


def _constants(call: Call) -> list[Any]:
    """What a call gets besides values: numbers and arrays."""
    import keras

    flat = keras.tree.flatten((call.args, call.kwargs))
    return [item for item in flat if not isinstance(item, Value | str | type(None))]


def _channels_last(call: Call) -> bool:
    return getattr(call.operation, "data_format", None) != "channels_first"


def _passes(call: Call) -> bool:
    """Whether a call of one value leaves the channels where they are, and as many."""
    if getattr(call.operation, "weights", ()) or call.kind in MOVES:
        return False
    (before,), (after,) = call.inputs, call.outputs
    if after.shape == before.shape:
        return True
    pools = ("Pooling1D", "Pooling2D", "Pooling3D", "UpSampling", "ZeroPadding", "Cropping")
    return (
        any(part in call.kind for part in (*pools, "RepeatVector")) and after.width == before.width
    )
