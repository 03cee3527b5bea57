"""The ranges of a graph's tensors, measured over a stream of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.optimize.quantize.tflite.graph import FloatGraph
from taxiway.optimize.quantize.tflite.statistics import Statistic

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Feed = Mapping[str, Array]

Ranges = Mapping[str, Mapping[str, Any]]
"""Tensor name -> `min` and `max`, each an array [1, ...] of the tensor's rank."""

PADDING = "PADV2"
"""It may fill up with minus infinity before a maximum: an integer's smallest value stands for that."""
LIMIT = 3e38
"""Beyond it a value means infinity: masks and paddings use the largest float32."""


@dataclass(frozen=True)
class Measured:
    """What samples showed.

    ranges: of the tensors whose values are finite. infinite: tensor index -> what else it held.
    """

    ranges: Ranges
    infinite: Mapping[int, str]


def measure(
    graph: FloatGraph, feeds: Iterable[Feed], file: str, statistic: Callable[[], Statistic]
) -> Measured:
    """What `statistic` says of all that the model and the operators that the quantizer knows take and
    give in float32.

    One feed and its activations are held at once. Raises StepError where LiteRT cannot run a feed.
    """
    import numpy as np

    watched: dict[int, str] = {}
    for scoped in graph.operators:
        for index in scoped.tensors:
            watched.setdefault(index, scoped.operator.type)
    for index in graph.ends:
        watched.setdefault(index, "")
    seen: dict[int, Statistic] = {}
    infinite: dict[int, str] = {}
    for values_of in _runs(graph, feeds, file):
        for index, kind in watched.items():
            values = values_of(index)
            if kind == PADDING:
                values = values[np.abs(values) < LIMIT]
            if not values.size:
                continue
            largest = np.abs(values).max()
            if largest < LIMIT:
                seen.setdefault(index, statistic()).add(values)
            else:
                infinite[index] = "NaN" if np.isnan(largest) else "infinite values"
    return Measured(
        {
            graph.name(index): {
                side: np.full((1,) * graph.rank(index), value, np.float32)
                for side, value in zip(("min", "max"), each.ends(), strict=True)
            }
            for index, each in seen.items()
        },
        infinite,
    )


def _runs(graph: FloatGraph, feeds: Iterable[Feed], file: str) -> Iterable[Any]:
    """For each feed, a function from the index of a tensor to its values."""
    import os
    import warnings

    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        # It warns that keeping every tensor costs memory, which calibration is about.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = Interpreter(
            model_content=graph.content,
            num_threads=os.cpu_count() or 1,
            experimental_op_resolver_type=OpResolverType.BUILTIN,
            experimental_preserve_all_tensors=True,
        )
    try:
        call = interpreter.get_signature_runner(graph.signature)
    except (RuntimeError, ValueError) as error:
        raise StepError(f"LiteRT cannot load {file}: {error}") from error
    for feed in feeds:
        try:
            call(**feed)
        except (RuntimeError, ValueError) as error:
            raise StepError(f"LiteRT cannot run {file} on a calibration sample: {error}") from error
        yield lambda index: interpreter.get_tensor(index, graph.index)
