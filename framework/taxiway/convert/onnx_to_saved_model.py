"""ONNX -> SavedModel: onnx2tf, compared with ONNX Runtime as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.convert.preflight_onnx_tflite import missing_ops
from taxiway.convert.saved_model import SavedModelConfig
from taxiway.model import Model
from taxiway.model.operators import onnx_operators
from taxiway.plugins import Context, Converter

LIBRARIES = ("tensorflow", "tf-keras", "onnx2tf", "onnx", "onnxruntime", "onnx-graphsurgeon")


class OnnxToSavedModel(Converter):
    """onnx2tf, in one piece or node by node; axes stay in ONNX's order at the ends.

    Where an input's name is no identifier, TensorFlow cannot keep it: then they are `input_0`, ...
    """

    Config = SavedModelConfig
    accepts = frozenset({"onnx"})
    produces = "saved_model"
    libraries = LIBRARIES
    runs_model = True
    cost = 2.0

    def lacks(self, path: Path, options: Any) -> tuple[str, ...]:
        return tuple(missing_ops(onnx_operators(path)))

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.from_onnx import export
        from taxiway.convert.from_onnx.ends import with_ends
        from taxiway.convert.from_onnx.network import builds
        from taxiway.convert.from_onnx.prepare import prepare
        from taxiway.convert.from_onnx.signature_names import stand_ins
        from taxiway.convert.result import converted

        path = context.workdir / "saved_model"
        with with_ends(model, options) as wanted:
            prepared = prepare(wanted, context.note)
            network = next(builds(prepared, model.path.name))
            export.write_saved_model(network, prepared, wanted, stand_ins(wanted), path)
            return converted(wanted, path, "saved_model")
