"""Inner layers of the student that learn those of the teacher, through a projection where widths differ.

After FitNets (Romero et al. 2015); all hints are learned together with the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from taxiway.errors import StepError


def tapped(network: Any, layers: list[str], whose: str) -> list[Any]:
    """The output tensors (KerasTensor) of layers by name.

    whose: `teacher` or `student`, for the message. Raises StepError for a layer that the network does
    not have, or whose output is not one.
    """
    return [_output(network, name, whose) for name in layers]


def with_hints(teacher: Any, student: Any, pairs: Mapping[str, str]) -> Any:
    """A network of the student's inputs, with its outputs and, after them, a hint for each pair.

    A hint is the student's layer, through a linear map of its channels (a 1x1 convolution) where the
    teacher's layer has others. Raises StepError with both shapes where the other axes differ.
    """
    import keras

    theirs = tapped(teacher, list(pairs), "teacher")
    ours = tapped(student, list(pairs.values()), "student")
    hints = []
    for number, (name, want, have) in enumerate(zip(pairs, theirs, ours, strict=True)):
        if want.shape[1:-1] != have.shape[1:-1] or len(want.shape) != len(have.shape):
            raise StepError(
                f"features.pairs: '{name}' of the teacher gives {list(want.shape)}, '{pairs[name]}' of "
                f"the student {list(have.shape)}: only the last axis, the channels, may differ",
                "pair layers of the same height, width or length",
            )
        if want.shape[-1] != have.shape[-1]:
            have = keras.layers.Dense(want.shape[-1], name=f"hint_{number}")(have)
        hints.append(have)
    return keras.Model(student.inputs, [*student.outputs, *hints])


def _output(network: Any, name: str, whose: str) -> Any:
    names = [layer.name for layer in network.layers]
    if name not in names:
        near = get_close_matches(name, names, n=3, cutoff=0.3) or names[:8]
        raise StepError(
            f"features.pairs: the {whose} has no layer '{name}'", f"nearest: {', '.join(near)}"
        )
    layer = network.get_layer(name)
    try:
        output = layer.output
    except (AttributeError, ValueError) as error:
        raise StepError(
            f"features.pairs: layer '{name}' of the {whose} is used more than once, or gives no tensor"
        ) from error
    if isinstance(output, list | tuple | dict):
        raise StepError(f"features.pairs: layer '{name}' of the {whose} gives several tensors")
    return output
