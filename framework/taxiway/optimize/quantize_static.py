"""Static quantization: int8 weights and activations, with ranges measured on samples."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.plugins import CALIBRATION, Config, Pass, Selection


class Calibration(Config, frozen=True):
    """Which samples are run through the model, and how their values become a range."""

    samples: Annotated[
        int, Meta(ge=1, description="Samples of the calibration split, from its start.")
    ] = 256
    method: Annotated[
        Literal["minmax", "entropy", "percentile"],
        Meta(
            description="minmax takes the smallest and the largest value seen; entropy and "
            "percentile (99.999 %) cut outliers off, on ONNX only."
        ),
    ] = "minmax"


class QuantizeStaticConfig(Config, frozen=True):
    """Options of static quantization."""

    calibration: Calibration = Calibration()
    granularity: Annotated[
        Literal["per_channel", "per_tensor"],
        Meta(description="One scale per output channel of a weight, or one per weight."),
    ] = "per_channel"
    io_dtype: Annotated[
        Literal["int8", "float32"] | None,
        Meta(
            description="What the model takes and gives. null is the format's usual: int8 for "
            "TFLite (a full-integer model, which microcontrollers and NPUs need), float32 for ONNX."
        ),
    ] = None


class QuantizeStatic(Pass):
    """Quantizes weights and activations to 8 bits, for CNNs and for integer-only targets.

    TFLite: AI Edge Quantizer. ONNX: ONNX Runtime, QuantizeLinear/DequantizeLinear pairs.
    """

    Config = QuantizeStaticConfig
    implementations = {
        "tflite": "taxiway.optimize.tflite_static:TFLiteStatic",
        "onnx": "taxiway.optimize.onnx_static:OnnxStatic",
    }

    def reads(self, options: Any) -> tuple[Selection, ...]:
        return (Selection(CALIBRATION, samples=options.calibration.samples),)
