"""A module in evaluation mode -> a torch.export program with named free axes, equal bytes for equal models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from taxiway.errors import StepError
from taxiway.model.load_torch import AXES, first_line

_SAMPLES = ((3, 5, 7, 11, 13), (3, 1021, 1031, 1033, 1039))
"""Sizes of the free axes in the sample, and those to try where a wave or an image needs more:
torch.export takes equal sizes, and 0 and 1, for constants."""


class InputSpec(Protocol):
    """What an export must know of an input; an axis is a size, or the name of a free one."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Sequence[int | str]: ...
    @property
    def dtype(self) -> str: ...


def export(module: Any, inputs: Sequence[InputSpec], path: Path) -> None:
    """Write `module` as a .pt2 file at `path`.

    Samples are zeros. Raises StepError that names the reason where torch.export cannot take it, such
    as control flow that depends on data, or an axis that the model fixes.
    """
    import torch

    module.eval()
    failure: Exception | None = None
    for sizes in _SAMPLES:
        try:
            program = _exported(module, *_samples(inputs, sizes))
            break
        except Exception as error:
            failure = failure or error
    else:
        assert failure is not None
        raise StepError(
            f"torch.export cannot take {type(module).__name__}: {first_line(failure)[:400]}",
            "fix the axes it names in source.inputs, or rewrite what depends on values",
        ) from failure
    for node in program.graph.nodes:
        # Paths of this machine.
        node.meta.pop("stack_trace", None)
    axes = _symbols(program, inputs)
    torch.export.save(program, str(path), extra_files={AXES: json.dumps(axes, sort_keys=True)})


def _samples(
    inputs: Sequence[InputSpec], sizes: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Zeros for each input, and the free axes of each as torch.export takes them."""
    import torch
    from torch.export import Dim

    names = list(dict.fromkeys(a for spec in inputs for a in spec.shape if isinstance(a, str)))
    size = {name: sizes[at % len(sizes)] + 29 * (at // len(sizes)) for at, name in enumerate(names)}
    dims = {name: Dim(name) for name in names}
    samples, shapes = {}, {}
    for spec in inputs:
        samples[spec.name] = torch.zeros(
            [size[axis] if isinstance(axis, str) else axis for axis in spec.shape],
            dtype=getattr(torch, spec.dtype),
        )
        shapes[spec.name] = {
            at: dims[axis] for at, axis in enumerate(spec.shape) if isinstance(axis, str)
        }
    return samples, shapes


def _exported(module: Any, samples: dict[str, Any], shapes: dict[str, Any]) -> Any:
    """Once more with the bounds that the first attempt found: a table of positions limits an axis."""
    import torch
    from torch.export.dynamic_shapes import refine_dynamic_shapes_from_suggested_fixes

    with torch.no_grad():
        try:
            return torch.export.export(
                module, (), kwargs=samples, dynamic_shapes=shapes, strict=False
            )
        except Exception as error:
            before, fixes, after = str(error).partition("Suggested fixes:")
            if not fixes:
                raise
            # What follows the fixes, after an empty line, is advice that its parser does not expect.
            message = f"{before}{fixes}{after.partition(chr(10) * 2)[0]}"
            bounded = refine_dynamic_shapes_from_suggested_fixes(message, shapes)
        return torch.export.export(module, (), kwargs=samples, dynamic_shapes=bounded, strict=False)


def _symbols(program: Any, inputs: Sequence[InputSpec]) -> dict[str, str]:
    """The name of each free axis by the symbol that stands for it in the graph.

    Raises StepError for an axis that the model does not leave free.
    """
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    axes: dict[str, str] = {}
    for argument, spec in zip(program.graph_signature.user_inputs, inputs, strict=True):
        for size, axis in zip(values[argument].shape, spec.shape, strict=True):
            if not isinstance(axis, str):
                continue
            if not str(size).isidentifier():
                raise StepError(
                    f"the model takes no free axis '{axis}' of input '{spec.name}': its size must be "
                    f"{size}",
                    f"give a size instead of '{axis}': in source.inputs, or source.fixed",
                )
            axes[str(size)] = axis
    return axes
