"""Ranges that are measured once, for a fallback quantizes the same model many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taxiway.model import Model
from taxiway.optimize.quantize.static import Calibration
from taxiway.plugins import CALIBRATION, Context, Selection

if TYPE_CHECKING:
    from taxiway.optimize.operators import Precision
    from taxiway.optimize.quantize.tflite.graph import FloatGraph
    from taxiway.optimize.quantize.tflite.ranges import Ranges


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
        bits: int,
        context: Context,
    ) -> Ranges:
        """The ranges over the samples of `calibration` for activations of so many bits.

        Raises StepError that names a weight or an activation that holds NaN or Inf, of an operator that
        is not in `kept`, and as `Feeds` and `measure` do.
        """
        from taxiway.optimize.quantize.calibration import Feeds
        from taxiway.optimize.quantize.tflite.finite import check_activations, check_weights
        from taxiway.optimize.quantize.tflite.ranges import measure

        check_weights(graph, kept, model.path.name)
        if (model.path, calibration) != self._key:
            feeds = Feeds(model, Selection(CALIBRATION, calibration.samples), context)
            self._measured = measure(graph, feeds, model.path.name, calibration, bits)
            self._key = model.path, calibration
        check_activations(graph, kept, self._measured.broken, model.path.name)
        ranges: Ranges = self._measured.ranges
        return ranges
