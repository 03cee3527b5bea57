"""A module in evaluation mode -> a torch.export program with named free axes, equal bytes for equal models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from taxiway.errors import StepError
from taxiway.model.load_torch import AXES, first_line

_SAMPLE = (3, 5, 7, 11, 13)
"""Sizes of the free axes in the sample: torch.export takes equal sizes or 0 and 1 for constants."""


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
    from torch.export import Dim

    names = list(dict.fromkeys(a for spec in inputs for a in spec.shape if isinstance(a, str)))
    sizes = {
        name: _SAMPLE[at % len(_SAMPLE)] + 13 * (at // len(_SAMPLE))
        for at, name in enumerate(names)
    }
    dims = {name: Dim(name) for name in names}
    samples, shapes = {}, {}
    for spec in inputs:
        samples[spec.name] = torch.zeros(
            [sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape],
            dtype=getattr(torch, spec.dtype),
        )
        shapes[spec.name] = {
            at: dims[axis] for at, axis in enumerate(spec.shape) if isinstance(axis, str)
        }
    module.eval()
    try:
        program = _exported(module, samples, shapes)
    except Exception as error:
        raise StepError(
            f"torch.export cannot take {type(module).__name__}: {first_line(error)[:400]}",
            "fix the axes it names in source.inputs, or rewrite what depends on values",
        ) from error
    for node in program.graph.nodes:
        # Paths of this machine.
        node.meta.pop("stack_trace", None)
    axes = _symbols(program, inputs)
    torch.export.save(program, str(path), extra_files={AXES: json.dumps(axes, sort_keys=True)})


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
            if isinstance(axis, str) and isinstance(size, int):
                raise StepError(
                    f"the model fixes axis '{axis}' of input '{spec.name}' to {size}",
                    f"give {size} instead of '{axis}' in source.inputs",
                )
            if isinstance(axis, str) and str(size).isidentifier():
                axes[str(size)] = axis
    return axes
