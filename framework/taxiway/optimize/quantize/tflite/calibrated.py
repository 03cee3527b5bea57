"""Ranges that are measured once, for a fallback quantizes the same model many times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taxiway.model import Model
from taxiway.plugins import Context, Selection

if TYPE_CHECKING:
    from taxiway.optimize.quantize.operators import Precision
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
        selection: Selection,
        context: Context,
    ) -> Ranges:
        """The ranges over the samples of `selection`, for all operators but those in `kept`.

        Raises StepError that names a weight or an activation of such an operator that holds NaN or
        infinite values, and as `Feeds` and `measure` do.
        """
        from taxiway.optimize.quantize.calibration import Feeds
        from taxiway.optimize.quantize.tflite.finite import finite_activations, finite_weights
        from taxiway.optimize.quantize.tflite.ranges import measure

        finite_weights(graph, kept, model.path.name)
        if (model.path, selection) != self._key:
            feeds = Feeds(model, selection, context)
            self._measured = measure(graph, feeds, model.path.name)
            self._key = model.path, selection
        finite_activations(graph, kept, self._measured, model.path.name)
        ranges: Ranges = self._measured.ranges
        return ranges
