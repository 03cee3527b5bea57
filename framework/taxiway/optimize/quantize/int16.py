"""16-bit activations over 8-bit weights: nearly float accuracy on integer hardware."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.optimize.quantize.granularity import GranularityOption
from taxiway.optimize.quantize.quantizing import Quantizing, QuantizingConfig
from taxiway.optimize.quantize.static import Calibration
from taxiway.plugins import CALIBRATION, Selection


class QuantizeInt16Config(QuantizingConfig, frozen=True):
    """Options of quantization with 16-bit activations."""

    calibration: Calibration = Calibration()
    granularity: GranularityOption = None
    io_dtype: Annotated[
        Literal["int16", "float32"] | None,
        Meta(
            description="What the model takes and gives. null: int16 for TFLite, float32 for ONNX."
        ),
    ] = None


class QuantizeInt16(Quantizing):
    """Quantizes weights to 8 bits and activations to 16, symmetric.

    For digital signal processors and microcontrollers; on a CPU it is many times slower than float32.
    """

    Config = QuantizeInt16Config
    instead = "it is made for signal processors and microcontrollers"
    calibrates = True
    implementations = {
        "tflite": "taxiway.optimize.quantize.tflite.int16:TFLiteInt16",
        "onnx": "taxiway.optimize.quantize.onnx.int16:OnnxInt16",
    }

    def reads(self, options: Any) -> tuple[Selection, ...]:
        calibration = Selection(CALIBRATION, samples=options.calibration.samples)
        return (calibration, *super().reads(options))
