"""ONNX -> TFLite: onnx2tf to a SavedModel that is not kept, then the TensorFlow Lite converter."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.convert.onnx_to_saved_model import LIBRARIES
from taxiway.convert.preflight_onnx_tflite import missing_ops
from taxiway.convert.tflite import TFLiteConfig
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.operators import onnx_operators
from taxiway.plugins import Context, Converter


class OnnxToTFLite(Converter):
    """onnx2tf, whole or node by node; names, dtypes and axes are those of the ONNX model."""

    Config = TFLiteConfig
    accepts = frozenset({"onnx"})
    produces = "tflite"
    libraries = (*LIBRARIES, "ai-edge-litert")
    runs_model = True
    cost = 2.0

    def lacks(self, path: Path, options: Any) -> tuple[str, ...]:
        return tuple(missing_ops(onnx_operators(path)))

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.from_onnx.ends import with_ends

        with with_ends(model, options) as wanted:
            return self._convert(wanted, options, context)

    def _convert(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.from_onnx import export
        from taxiway.convert.from_onnx.network import builds
        from taxiway.convert.from_onnx.prepare import prepare
        from taxiway.convert.from_onnx.signature_names import (
            rename_signature,
            stand_ins,
            with_layouts,
        )
        from taxiway.convert.from_onnx.tflite_operators import named
        from taxiway.convert.tflite_converter import convert_signature
        from taxiway.model.inspect import describe

        prepared = prepare(model, context.note)
        names = stand_ins(model)
        failure: StepError | None = None
        for network in builds(prepared, model.path.name):
            try:
                with TemporaryDirectory() as folder:
                    exported = Path(folder) / "saved_model"
                    export.write_saved_model(network, prepared, model, names, exported)
                    result = convert_signature(model, exported, export.SIGNATURE, options, context)
            except StepError as error:
                failure = named(error, prepared)
                continue
            if not names:
                return result
            rename_signature(result.path, names)
            return with_layouts(describe(result.path, "tflite"), model)
        assert failure is not None
        raise failure
