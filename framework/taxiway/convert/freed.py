"""Proof that a size can be another: the result runs with it, and a batch does not mix samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from taxiway.convert.dims import Axis, resized
from taxiway.convert.ends import EndsConfig
from taxiway.errors import StepError
from taxiway.model import Model, TensorSpec
from taxiway.model.layout import data_shape, shape_in

if TYPE_CHECKING:
    import numpy as np

    Tensors = dict[str, np.ndarray[Any, Any]]


def proven(source: Model, result: Model, options: EndsConfig) -> Model:
    """`result`, once it has shown that it runs with every size the options changed or freed."""
    changes = resized(source.signature, options.sizes)
    if changes:
        prove_sizes(source, result, changes)
    return result


def insists(changes: Mapping[Axis, int | str], error: StepError) -> StepError:
    """The error of a runtime, which names the operator, as that of a size that cannot change."""
    where = ", ".join(f"axis {axis} of '{name}'" for name, axis in changes)
    said = " ".join(error.message.split())[:600]
    return StepError(
        f"the size of {where} cannot change, the graph insists on it: {said}",
        "keep it, or export the model again with a dynamic axis",
    )


def prove_sizes(
    source: Model, result: Model, changes: Mapping[Axis, int | str]
) -> tuple[TensorSpec, ...]:
    """Run `result` with the sizes of `source`, and with twice as much along the axes it freed.

    changes: what became of fixed axes: another size, or a name. Gives the outputs' specs with the
    shapes that were seen, and a name for every axis that grew. Raises StepError that quotes the
    runtime, which names the operator that insists on a size; or names the output that did not grow
    with a batch, or whose rows are not those of each half alone.
    """
    from taxiway.model.runners import open_runner

    freed = [axis for axis, size in changes.items() if isinstance(size, str)]
    runner = open_runner(result)
    if len(freed) < len(changes):
        small = [_values(result.signature.inputs, seed) for seed in (1, 2)]
        before = None
    else:
        small = [_values(source.signature.inputs, seed) for seed in (1, 2)]
        before = [open_runner(source).predict(half) for half in small]
    large = {name: _joined(name, [half[name] for half in small], freed) for name in small[0]}
    try:
        halves = [runner.predict(half) for half in small]
        both = runner.predict(large)
    except StepError as error:
        raise insists(changes, error) from error
    batch = {(spec.name, 0) for spec in result.signature.inputs} == {*freed}
    outputs = []
    for spec in result.signature.outputs:
        first, second = (before or halves)[0][spec.name], halves[0][spec.name]
        if first.shape != second.shape:
            raise StepError(
                f"output '{spec.name}' has shape {list(second.shape)}, "
                f"in the source {list(first.shape)}"
            )
        if batch and first.ndim:
            _check_rows(spec, [half[spec.name] for half in before or halves], both[spec.name])
        outputs.append(_seen(spec, second.shape, both[spec.name].shape))
    return tuple(outputs)


def _joined(name: str, halves: Sequence[Any], freed: Sequence[Axis]) -> Any:
    """Both halves along the axes that were freed; the first of them is as long as both."""
    import numpy as np

    axes = [axis for freed_name, axis in freed if freed_name == name]
    if not axes:
        return halves[0]
    array = np.concatenate(halves, axis=axes[0])
    counts = [2 if axis in axes[1:] else 1 for axis in range(array.ndim)]
    return np.tile(array, counts)


def _check_rows(spec: TensorSpec, halves: Sequence[Any], both: Any) -> None:
    import numpy as np

    expected = np.concatenate(halves)
    hint = "keep it fixed, or export the model again with a dynamic batch"
    if len(both) != len(expected):
        raise StepError(
            f"the batch cannot become dynamic: {len(expected)} samples give {len(both)} rows of "
            f"output '{spec.name}'; an operator such as a Reshape insists on {len(halves[0])}",
            hint,
        )
    tolerance = 1e-2 if spec.dtype in ("float16", "bfloat16") or spec.quantized else 1e-3
    if expected.dtype.kind == "f" and not np.allclose(
        both.astype(np.float64),
        expected.astype(np.float64),
        rtol=tolerance,
        atol=tolerance * max(float(np.abs(expected).max(initial=0)), 1e-6),
        equal_nan=True,
    ):
        raise StepError(
            f"the batch cannot become dynamic: in output '{spec.name}' the rows of a sample depend "
            "on the others of its batch",
            hint,
        )


def _seen(spec: TensorSpec, small: tuple[int, ...], large: tuple[int, ...]) -> TensorSpec:
    """The spec with the sizes that were seen; an axis keeps its name, or gets one where it grew."""
    if spec.layout:
        small, large = shape_in(spec.layout, small), shape_in(spec.layout, large)
    known = spec.shape if len(spec.shape) == len(small) else ("",) * len(small)
    names = ["batch", *(f"dim_{axis}" for axis in range(1, len(small)))]
    axes = [
        size if size == grown and not _named(old) else (old if _named(old) else name)
        for old, size, grown, name in zip(known, small, large, names, strict=False)
    ]
    return replace(spec, shape=tuple(axes))


def _named(axis: int | str) -> bool:
    return isinstance(axis, str) and bool(axis)


def _values(specs: Sequence[TensorSpec], seed: int) -> Tensors:
    """Values for the inputs; an axis that is free has the size 2."""
    import numpy as np

    rng = np.random.default_rng(seed)
    values = {}
    for spec in specs:
        shape = [size if isinstance(size, int) else 2 for size in data_shape(spec)]
        if spec.dtype == "str":
            values[spec.name] = np.full(shape, "a", dtype=object)
        elif spec.dtype.startswith(("float", "bfloat")) or spec.quantized:
            values[spec.name] = rng.uniform(0.0, 1.0, shape).astype(np.float32)
        else:
            # Small enough for an index, a length or a class.
            values[spec.name] = rng.integers(0, 2, shape).astype(spec.dtype)
    return values
