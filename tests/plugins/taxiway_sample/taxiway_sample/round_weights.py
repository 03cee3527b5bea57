"""Rounds float32 weights to few mantissa bits, so that the model's file compresses well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Config, Context, Pass

if TYPE_CHECKING:
    import numpy as np

MANTISSA = 23
"""Explicit mantissa bits of an IEEE 754 binary32."""


class RoundWeightsConfig(Config, frozen=True):
    """Options of the rounding."""

    mantissa_bits: Annotated[
        int, Meta(ge=1, le=22, description="Mantissa bits to keep; 7 is the precision of bfloat16.")
    ] = 8


class RoundWeights(Pass):
    """Rounds each float32 initializer to the nearest value with fewer mantissa bits, ties to even."""

    Config = RoundWeightsConfig
    accepts = frozenset({"onnx"})
    libraries = ("onnx", "numpy")
    approximates = True

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx
        from onnx import TensorProto, numpy_helper

        proto = onnx.load(model.path)
        weights = [t for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT]
        if not weights:
            raise StepError(f"{model.path.name} has no float32 weights", "drop round_weights")
        for done, tensor in enumerate(weights, 1):
            rounded = keep_bits(numpy_helper.to_array(tensor), options.mantissa_bits)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
            context.progress(done, len(weights), "weights")
        path = context.workdir / "model.onnx"
        path.write_bytes(proto.SerializeToString(deterministic=True))
        return describe(path, "onnx")


def keep_bits(values: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """float32 values rounded to `bits` mantissa bits, ties to even; what would leave the finite values stays."""
    import numpy as np

    dropped = MANTISSA - bits
    raw = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (raw >> np.uint32(dropped)) & np.uint32(1)
    raw = (raw + np.uint32((1 << (dropped - 1)) - 1) + odd) >> np.uint32(dropped)
    rounded = (raw << np.uint32(dropped)).view(np.float32).reshape(values.shape)
    result: np.ndarray[Any, Any] = np.where(
        np.isfinite(values) & np.isfinite(rounded), rounded, values
    )
    return result
