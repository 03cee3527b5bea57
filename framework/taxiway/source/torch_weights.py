"""Weights of a PyTorch model: a state dict (.pt, .pth, .bin) or safetensors, never an unrestricted pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway import safety
from taxiway.errors import StepError
from taxiway.safety.safetensors_file import is_safetensors

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside the optimizer's."""


def load_weights(path: Path) -> dict[str, Any]:
    """The tensors by name, after the static gate of the file's kind.

    Raises SafetyError before any loader, StepError for a file that holds no named tensors.
    """
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise StepError(f"{path.name} is empty, expected a state dict or safetensors")
    if is_safetensors(head):
        safety.check(path, "safetensors")
        from safetensors.torch import load_file

        tensors: dict[str, Any] = load_file(str(path))
        return tensors
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        raise StepError(
            f"{path.name} is neither a PyTorch state dict nor safetensors "
            f"(it starts with {head[:8].hex(' ')})",
            "save it with torch.save(model.state_dict(), ...) or safetensors.torch.save_file",
        )
    safety.check(path, "torch_weights")
    import torch

    try:
        loaded = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise StepError(f"PyTorch cannot read the weights in {path.name}: {error}") from error
    return _state_dict(loaded, path.name)


def _state_dict(loaded: Any, name: str) -> dict[str, Any]:
    import torch

    if isinstance(loaded, dict) and not any(isinstance(v, torch.Tensor) for v in loaded.values()):
        inner = [loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), dict)]
        loaded = inner[0] if len(inner) == 1 else loaded
    if not isinstance(loaded, dict) or not loaded:
        raise StepError(f"{name} holds a {type(loaded).__name__}, expected a state dict")
    odd = [str(key) for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise StepError(
            f"{name} is no state dict: {', '.join(odd[:5])} hold no tensors",
            "save model.state_dict() alone",
        )
    return dict(loaded)
