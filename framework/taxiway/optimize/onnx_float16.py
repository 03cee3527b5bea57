"""float16 computation in an ONNX model."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.float16 import Float16
from taxiway.plugins import Context


class OnnxFloat16(Float16):
    libraries = ("onnxruntime", "onnx")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx
        from onnxruntime.quantization.onnx_model import ONNXModel
        from onnxruntime.transformers.float16 import convert_float_to_float16

        from taxiway.optimize.onnx_quantizer import checked

        try:
            proto = convert_float_to_float16(onnx.load(model.path), keep_io_types=True)
            ONNXModel(proto).topological_sort()
        except Exception as error:
            raise StepError(f"{model.path.name} cannot become float16: {error}") from error
        return checked(model, proto, _half_weights, context)


def _half_weights(proto: Any) -> int:
    from onnx import TensorProto

    return sum(tensor.data_type == TensorProto.FLOAT16 for tensor in proto.graph.initializer)
