"""Static gates: what a model file would do is read from its bytes before any loader sees it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from taxiway.errors import SafetyError
from taxiway.safety.hints import default_hint, shorten

_GATES = {
    "keras": "taxiway.safety.keras_file",
    "keras_weights": "taxiway.safety.keras_weights",
    "saved_model": "taxiway.safety.saved_model",
    "onnx": "taxiway.safety.onnx_model",
    "ort": "taxiway.safety.ort_model",
    "tflite": "taxiway.safety.tflite_model",
    "torch": "taxiway.safety.torch_program",
    "sklearn": "taxiway.safety.skops_file",
    "torch_weights": "taxiway.safety.torch_pickle",
    "huggingface": "taxiway.safety.huggingface_folder",
    "safetensors": "taxiway.safety.safetensors_file",
}


def check(path: Path, format: str, trust: str | None = None) -> None:
    """Refuse a model that could run code, read outside its folder or exhaust the machine.

    trust: SHA-256 of a Keras file whose stored code may run. Neither the model's loader nor
    TensorFlow is called. Raises SafetyError with one line per finding.
    """
    gate = import_module(_GATES[format])
    findings: list[str] = gate.findings(path, **({"trust": trust} if trust else {}))
    if findings:
        raise SafetyError(
            f"{path.name} is refused:\n"
            + "\n".join(f"  - {shorten(finding)}" for finding in findings),
            gate.hint(path, findings) if hasattr(gate, "hint") else default_hint(findings),
        )
