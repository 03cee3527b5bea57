"""Static quantization: int8 weights and activations, with ranges measured on samples."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.optimize.quantize.granularity import GranularityOption
from taxiway.optimize.quantize.quantizing import Quantizing, QuantizingConfig
from taxiway.plugins import CALIBRATION, Config, Selection


class Calibration(Config, frozen=True):
    """Which samples are run through the model, and how their values become a range."""

    samples: Annotated[
        int, Meta(ge=1, description="Samples of the calibration split, from its start.")
    ] = 256
    method: Annotated[
        Literal["minmax", "entropy", "percentile", "distribution"],
        Meta(
            description="minmax takes the smallest and the largest value seen; entropy, percentile "
            "and distribution cut outliers off."
        ),
    ] = "minmax"
    percentile: Annotated[
        float, Meta(gt=50, le=100, description="Share of the values that method percentile keeps.")
    ] = 99.999


class QuantizeStaticConfig(QuantizingConfig, frozen=True):
    """Options of static quantization."""

    calibration: Calibration = Calibration()
    granularity: GranularityOption = None
    symmetric: Annotated[
        bool, Meta(description="Activations have zero point 0, which some accelerators need.")
    ] = False
    integers: Annotated[
        Literal["u8s8", "u8u8", "s8s8"] | None,
        Meta(
            description="Integer types of activations and weights, on ONNX. null: those that this "
            "CPU multiplies without saturation; weights keep to 7 bits where it has no VNNI."
        ),
    ] = None
    io_dtype: Annotated[
        Literal["int8", "float32"] | None,
        Meta(
            description="What the model takes and gives. null is the format's usual: int8 for "
            "TFLite (a full-integer model, which microcontrollers and NPUs need), float32 for ONNX."
        ),
    ] = None


class QuantizeStatic(Quantizing):
    """Quantizes weights and activations to 8 bits, for CNNs and for integer-only targets.

    TFLite: AI Edge Quantizer. ONNX: ONNX Runtime, QuantizeLinear/DequantizeLinear pairs.
    """

    Config = QuantizeStaticConfig
    instead = "dense layers and transformers may gain from quantize_dynamic"
    calibrates = True
    implementations = {
        "tflite": "taxiway.optimize.quantize.tflite.static:TFLiteStatic",
        "onnx": "taxiway.optimize.quantize.onnx.static:OnnxStatic",
    }

    def reads(self, options: Any) -> tuple[Selection, ...]:
        calibration = Selection(CALIBRATION, samples=options.calibration.samples)
        return (calibration, *super().reads(options))
