"""Whether a result is a valid file of its format, before it is compared."""

from __future__ import annotations

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe


def fault(model: Model) -> str | None:
    """What the format's own checker says against the file; None where it is valid.

    ONNX: `onnx.checker` on the path, which handles external data without loading it. Others have no
    checker but their loader.
    """
    if model.format == "onnx":
        return _onnx(model)
    try:
        found = describe(model.path, model.format).signature
    except StepError as error:
        return error.message
    if found != model.signature:
        return f"{model.path.name} has another signature than the step said"
    return None


def _onnx(model: Model) -> str | None:
    import onnx

    try:
        onnx.checker.check_model(str(model.path))
    except onnx.checker.ValidationError as error:
        return f"the ONNX checker refuses {model.path.name}: {_first_line(error)}"
    except Exception as error:
        return f"{model.path.name} cannot be read: {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
