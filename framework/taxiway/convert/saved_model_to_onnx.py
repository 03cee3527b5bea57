"""SavedModel -> ONNX: tf2onnx on the frozen serving function."""

from __future__ import annotations

from typing import Any

from taxiway.convert.onnx import OnnxConfig
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Context, Converter


class SavedModelToOnnx(Converter):
    """tf2onnx on the frozen serving function."""

    Config = OnnxConfig
    accepts = frozenset({"saved_model"})
    produces = "onnx"
    libraries = ("tensorflow", "tf2onnx", "onnx")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import tf2onnx
        from tf2onnx import tf_loader

        from taxiway.convert.onnx_result import writable_opset, write_onnx
        from taxiway.model.load_saved_model import signature_name

        signature = signature_name(model.path)
        try:
            graph, inputs, outputs, names = tf_loader.from_saved_model(
                str(model.path),
                None,
                None,
                tag=["serve"],
                signatures=[signature],
                return_tensors_to_rename=True,
            )
            proto, _ = tf2onnx.convert.from_graph_def(
                graph,
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=names,
                opset=writable_opset(options),
            )
        except Exception as error:
            raise StepError(f"tf2onnx cannot convert {model.path.name}: {error}") from error
        return write_onnx(proto, model, context.workdir / "model.onnx", options, context.note)
