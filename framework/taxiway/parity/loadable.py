"""Whether a result is a valid file of its format, by the format's own checker."""

from __future__ import annotations

from taxiway.model import Model


def fault(model: Model) -> str | None:
    """What the checker says against the file; None where it is valid, or its format has no checker.

    ONNX: `onnx.checker` on the path, which does not load external data. What other formats' loaders
    say is found when the model is opened.
    """
    if model.format != "onnx":
        return None
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
