"""Architectures by name: entry points of the group `taxiway.architecture`.

    [project.entry-points."taxiway.architecture"]
    tiny = "my_package.nets:tiny"

A registered function `tiny(inputs, outputs, **arguments)` gets the signatures of the teacher's inputs and
outputs (tuples of `taxiway.model.TensorSpec`) and gives a `keras.Model` of as many inputs and outputs.
It ends in raw scores: the pass adds the activation that the teacher ends with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from taxiway.errors import PluginError, StepError
from taxiway.model import Signature
from taxiway.optimize.distill.student.ends import check_ends

GROUP = "taxiway.architecture"


def architecture(name: str) -> EntryPoint:
    """The entry point of this name; nothing is imported.

    Raises ValueError with the nearest name where there is none, or where two packages have it.
    """
    found = {entry.value: entry for entry in entry_points(group=GROUP, name=name)}
    if len(found) > 1:
        raise ValueError(f"student.architecture '{name}' comes from {' and '.join(sorted(found))}")
    if not found:
        known = sorted({entry.name for entry in entry_points(group=GROUP)})
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        raise ValueError(f"no student.architecture '{name}'; {hint}")
    return next(iter(found.values()))


def distribution_of(name: str) -> tuple[str, ...]:
    """The distribution that an architecture comes from; its version enters the cache key."""
    try:
        found = architecture(name)
    except ValueError:
        return ()
    return (found.dist.name,) if found.dist and not found.value.startswith("taxiway.") else ()


def built(name: str, arguments: Mapping[str, Any], teacher: Signature, ends: Sequence[str]) -> Any:
    """The architecture (keras.Model) for the teacher's inputs and outputs.

    ends: the activation of each output: `softmax`, `sigmoid` or `linear`. Raises StepError where its
    function fails, gives no Keras model, or one whose inputs and outputs do not fit.
    """
    import keras

    from taxiway.model.inspect import keras_signature

    make = _loaded(name)
    try:
        network = make(teacher.inputs, teacher.outputs, **arguments)
    except StepError:
        raise
    except Exception as error:
        raise StepError(
            f"architecture '{name}' failed with arguments {dict(arguments)}: "
            f"{type(error).__name__}: {error}",
            "check student.arguments, and that the architecture is for such inputs",
        ) from error
    if not isinstance(network, keras.Model):
        raise StepError(f"architecture '{name}' gave a {type(network).__name__}, no keras.Model")
    check_ends(keras_signature(network), teacher, f"architecture '{name}'")
    scores = [
        keras.layers.Activation(end, name=f"student_{end}_{at}")(tensor)
        for at, (end, tensor) in enumerate(zip(ends, network.outputs, strict=True))
    ]
    return keras.Model(network.inputs, scores, name=name)


def _loaded(name: str) -> Callable[..., Any]:
    try:
        make: Callable[..., Any] = architecture(name).load()
    except ValueError as error:
        raise StepError(str(error)) from error
    except Exception as error:
        raise PluginError(f"architecture '{name}' cannot be imported: {error!r}") from error
    return make
