"""Runs the TensorFlow Lite converter on a SavedModel and says which ops stand in the way."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from taxiway.convert.result import converted
from taxiway.convert.tflite import TFLiteConfig
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Context

_NEEDED = re.compile(r"^(TF Select|Custom) ops: (.+)$", re.MULTILINE)
_TENSOR_LIST = "TensorList"


class FreeBatchLoop(StepError):
    """The signature has a loop whose results have a free batch axis."""


def convert_signature(
    wanted: Model, saved_model: Path, signature: str, options: TFLiteConfig, context: Context
) -> Model:
    """Convert one signature of `saved_model`, which takes and gives what `wanted` does.

    Raises StepError that lists the ops TFLite does not have, as the converter names them
    (https://ai.google.dev/edge/litert/models/ops_compatibility); FreeBatchLoop for such a loop.
    """
    from taxiway.convert.repairs.compose import rewritten

    try:
        content = _content(saved_model, signature, options)
    except Exception as error:
        explained = _explained(str(error), options)
        with TemporaryDirectory() as folder:
            other = Path(folder) / "saved_model"
            if not rewritten(saved_model, other, context.note):
                raise explained from error
            try:
                content = _content(other, signature, options)
            except Exception as again:
                raise _explained(str(again), options) from again
    path = context.workdir / "model.tflite"
    path.write_bytes(content)
    return converted(wanted, path, "tflite")


def _content(saved_model: Path, signature: str, options: TFLiteConfig) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[signature]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if options.select_tf_ops:
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.SELECT_TF_OPS)
    content: bytes = converter.convert()
    return content


def _explained(message: str, options: TFLiteConfig) -> StepError:
    needed = dict(_NEEDED.findall(message))
    if "Custom" in needed:
        return StepError(
            f"TFLite has no kernel for: {needed['Custom']}",
            "rewrite the layers that use them, or choose convert=onnx",
        )
    if _TENSOR_LIST in message:
        return FreeBatchLoop(
            "TFLite cannot convert a recurrent layer traced with a free batch axis "
            "(TensorList ops)",
            "start from the Keras file (source=keras) and set convert.batch=1",
        )
    if "TF Select" in needed:
        return StepError(
            f"TFLite has no builtin op for: {needed['TF Select']}", "convert.select_tf_ops=true"
        )
    return StepError(f"the TFLite converter failed: {message.strip()[-2000:]}")
