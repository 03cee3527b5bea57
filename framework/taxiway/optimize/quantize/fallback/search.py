"""Search for the fewest operators that must stay in higher precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taxiway.model import Model
from taxiway.optimize.quantize.operators import Precision
from taxiway.plugins import Context

if TYPE_CHECKING:
    from taxiway.optimize.quantize.quantizing import Quantizing


def quantize_with_fallback(
    quantizer: Quantizing,
    model: Model,
    options: Any,
    kept: Mapping[str, Precision],
    context: Context,
) -> Model:
    """The quantized model with more operators in `options.fallback.precision`, as few as restore it."""
    raise NotImplementedError
