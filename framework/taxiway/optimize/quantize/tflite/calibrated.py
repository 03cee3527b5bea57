"""Ranges that are measured once, for a fallback quantizes the same model many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from taxiway.model import Model
from taxiway.optimize.quantize.static import Calibration
from taxiway.plugins import CALIBRATION, Context, Selection

if TYPE_CHECKING:
    from taxiway.optimize.quantize.operators import Precision
    from taxiway.optimize.quantize.tflite.graph import FloatGraph
    from taxiway.optimize.quantize.tflite.ranges import Ranges
    from taxiway.optimize.quantize.tflite.statistics import Statistic

METHODS = ("minmax", "percentile")


def check_method(calibration: Calibration) -> None:
    """Raises ValueError for a method that works on another format only."""
    if calibration.method not in METHODS:
        raise ValueError(
            f"calibration.method '{calibration.method}' works on onnx only; tflite has "
            + " and ".join(METHODS)
        )


class Calibrated:
    """The ranges of the model that was asked for last."""

    def __init__(self) -> None:
        self._key: Any = None
        self._measured: Any = None

    def of(
        self,
        model: Model,
        graph: FloatGraph,
        kept: Mapping[str, Precision],
        calibration: Calibration,
        context: Context,
    ) -> Ranges:
        """The ranges over the samples of `calibration`, by its method, for all operators but those in
        `kept`.

        Raises StepError that names a weight or an activation of such an operator that holds NaN or
        infinite values, and as `Feeds` and `measure` do.
        """
        from taxiway.optimize.quantize.calibration import Feeds
        from taxiway.optimize.quantize.tflite.finite import finite_activations, finite_weights
        from taxiway.optimize.quantize.tflite.ranges import measure

        finite_weights(graph, kept, model.path.name)
        if (model.path, calibration) != self._key:
            feeds = Feeds(model, Selection(CALIBRATION, calibration.samples), context)
            self._measured = measure(graph, feeds, model.path.name, _statistic(calibration))
            self._key = model.path, calibration
        finite_activations(graph, kept, self._measured, model.path.name)
        ranges: Ranges = self._measured.ranges
        return ranges


def _statistic(calibration: Calibration) -> Callable[[], Statistic]:
    """Extremes or percentiles; the library's own moving average of extremes depends on the order of the
    samples, and clips more than either: on keyword spotting it lost 0.9 points where extremes lost none.
    """
    from functools import partial

    from taxiway.optimize.quantize.tflite.statistics import Extremes, Percentiles

    if calibration.method == "minmax":
        return Extremes
    return partial(Percentiles, calibration.percentile)
