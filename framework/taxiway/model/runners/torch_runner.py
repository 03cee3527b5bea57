"""PyTorch on the CPU: the graph of a torch.export program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.model.load_torch import load_torch
from taxiway.model.model import Model
from taxiway.model.runners.batching import fixed_batch, predict

Array = np.ndarray[Any, Any]


class TorchRunner:
    """An exported program as a module, in inference mode; threads are set for the whole process."""

    def __init__(self, model: Model, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._program = load_torch(model.path)
        self._module = self._program.exported.module()
        self.signature = model.signature
        self._spec = self._program.exported.call_spec.in_spec

    def _invoke(self, stored: dict[str, Array]) -> list[Array]:
        import torch
        from torch.utils import _pytree

        flat = [_tensor(stored[spec.name]) for spec in self.signature.inputs]
        arguments, keywords = _pytree.tree_unflatten(flat, self._spec)
        with torch.inference_mode():
            results = _pytree.tree_leaves(self._module(*arguments, **keywords))
        return [_array(results[position]) for position in self._program.outputs]

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return predict(self.signature, self._invoke, inputs, fixed_batch(self.signature))


def _tensor(array: Array) -> Any:
    """The array as a tensor; NumPy has no bfloat16 of its own, so its bits are taken over."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _array(tensor: Any) -> Array:
    import torch

    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array
