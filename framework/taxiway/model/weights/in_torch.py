"""Weights of a torch.export program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from taxiway.model.load_torch import load_torch
from taxiway.model.weights.stored import StoredWeight


def torch_weights(path: Path) -> Iterator[StoredWeight]:
    """Floating parameters and buffers by name; tied ones once."""
    seen = set()
    for name, tensor in load_torch(path).exported.state_dict.items():
        tensor = tensor.detach()
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
        if tensor.is_floating_point() and place not in seen:
            seen.add(place)
            exact = (
                tensor.float()
                if tensor.element_size() < 2 or "bfloat" in str(tensor.dtype)
                else tensor
            )
            yield StoredWeight(name, exact.cpu().numpy())
