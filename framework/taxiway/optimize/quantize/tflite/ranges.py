"""The ranges of a graph's tensors, measured over a stream of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.optimize.quantize.histogram import Histogram
from taxiway.optimize.quantize.static import Calibration
from taxiway.optimize.quantize.tflite.graph import FloatGraph

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
    """What samples showed: the ranges, and the tensors that NaN or Inf was seen in, in graph order."""

    ranges: Ranges
    broken: tuple[str, ...]


def measure(
    graph: FloatGraph, feeds: Iterable[Feed], file: str, calibration: Calibration, bits: int
) -> Measured:
    """The range, by the method of `calibration`, of all that the model and the operators that the
    quantizer knows take and give in float32.

    The quantizer's own calibrator has a moving average of extremes by default, which depends on the
    order of the samples and clips: on keyword spotting it lost 0.9 points, and extremes lost none.
    One feed and its activations are held at once. bits: of an activation. Raises StepError where LiteRT
    cannot run a feed.
    """
    import numpy as np

    watched: dict[int, str] = {}
    for scoped in graph.operators:
        for index in scoped.tensors:
            watched.setdefault(index, scoped.operator.type)
    for index in graph.ends:
        watched.setdefault(index, "")
    seen: dict[int, Extremes | Histogram] = {}
    broken = set()
    kind = Extremes if calibration.method == "minmax" else Histogram
    for values_of in _runs(graph, feeds, file):
        for index, producer in watched.items():
            values = values_of(index)
            if producer == PADDING:
                values = values[np.abs(values) < LIMIT]
            if not values.size:
                continue
            if np.abs(values).max() < LIMIT:
                seen.setdefault(index, kind()).add(values)
            else:
                broken.add(index)
    return Measured(
        {
            graph.name(index): {
                side: np.full((1,) * graph.rank(index), value, np.float32)
                for side, value in zip(("min", "max"), _range(each, calibration, bits), strict=True)
            }
            for index, each in seen.items()
        },
        tuple(graph.name(index) for index in watched if index in broken),
    )


class Extremes:
    """The smallest and the largest value of a tensor."""

    def __init__(self) -> None:
        self.lowest, self.highest = float("inf"), float("-inf")

    def add(self, values: Array) -> None:
        self.lowest = min(self.lowest, float(values.min()))
        self.highest = max(self.highest, float(values.max()))


def _range(found: Extremes | Histogram, calibration: Calibration, bits: int) -> tuple[float, float]:
    from taxiway.optimize.quantize import histogram

    if isinstance(found, Extremes):
        return found.lowest, found.highest
    if calibration.method == "percentile":
        return histogram.percentile(found, calibration.percentile)
    method = {"entropy": histogram.entropy, "distribution": histogram.distribution}
    return method[calibration.method](found, bits)


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
