"""float16 computation in an ONNX model."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.float16 import Float16
from taxiway.plugins import Context


class OnnxFloat16(Float16):
    """Weights in other files are converted in a stream, so that a model may be larger than memory."""

    libraries = ("onnxruntime", "onnx")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx
        from onnxruntime.quantization.onnx_model import ONNXModel
        from onnxruntime.transformers.float16 import (
            convert_float_to_float16,
            convert_np_to_float16,
        )

        from taxiway.model.onnx_file import WEIGHTS, load_graph
        from taxiway.optimize.quantize.onnx.external import hold_out, put_back
        from taxiway.optimize.quantize.onnx.graph import checked

        # With the real shapes: a weight that is held out has none for a while.
        proto = onnx.shape_inference.infer_shapes(load_graph(model.path))
        held = hold_out(proto, model.path.parent)
        try:
            proto = convert_float_to_float16(proto, keep_io_types=True, disable_shape_infer=True)
            if held:
                del proto.graph.value_info[:]
                put_back(held, context.workdir / WEIGHTS, convert_np_to_float16)
            ONNXModel(proto).topological_sort()
        except StepError:
            raise
        except Exception as error:
            raise StepError(f"{model.path.name} cannot become float16: {error}") from error
        return checked(model, proto, _half_weights, context)


def _half_weights(proto: Any) -> int:
    from onnx import TensorProto

    return sum(tensor.data_type == TensorProto.FLOAT16 for tensor in proto.graph.initializer)
