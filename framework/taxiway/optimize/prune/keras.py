"""Magnitude pruning of a Keras network while it is trained."""

from __future__ import annotations

from typing import Any

from taxiway.model import Model
from taxiway.optimize.prune.magnitude import PruneMagnitude
from taxiway.optimize.prune.weights import PrunedWeight, chosen, sparsity_of, told_of
from taxiway.plugins import Context, Selection


class KerasMagnitude(PruneMagnitude):
    """The forward pass sees weights through masks; their zeros are written at the end."""

    libraries = ("tensorflow", "keras", "tf-keras")
    seeded = True
    trains = True
    machine_dependent = True

    def reads(self, options: Any) -> tuple[Selection, ...]:
        selections: tuple[Selection, ...] = options.training.reads()
        return selections

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import numpy as np

        from taxiway.optimize.prune.gradual import GradualMask
        from taxiway.optimize.training.fit import fit
        from taxiway.optimize.training.network import load_network, named_weights, save_network

        network = load_network(model, context)
        weights = chosen(weights_of(network), options, model.path.name)
        fit(network, model, options.training, context, views=[GradualMask(weights, options)])
        values = {name: np.asarray(weight) for name, weight in named_weights(network).items()}
        promises = [sparsity_of(weight, values[weight.name], options) for weight in weights]
        epochs = options.training.epochs
        how = "while it was trained" if epochs else "at once, without training"
        context.tell("pruning", told_of(promises, how))
        return save_network(network, model, context, promises)


def weights_of(network: Any) -> list[PrunedWeight]:
    """Kernels of the dense, convolutional and recurrent layers of a Keras 3 network, with nested ones."""
    from taxiway.optimize.training.network import named_weights

    names = {id(variable): name for name, variable in named_weights(network).items()}
    trainable = {id(variable) for variable in network.trainable_weights}
    found: dict[str, PrunedWeight] = {}
    for layer in network._flatten_layers():
        kind = type(layer).__name__
        for attribute, (outputs, inputs) in _axes(layer, kind).items():
            variable = getattr(layer, attribute)
            if id(variable) not in trainable:
                continue
            name = names[id(variable)]
            path, cell = name.rpartition("/")[0], kind.endswith("Cell")
            found[name] = PrunedWeight(
                name,
                path.rpartition("/")[0] if cell else path,
                kind.removesuffix("Cell"),
                tuple(variable.shape),
                outputs,
                inputs,
                attribute == "depthwise_kernel" or kind.startswith("DepthwiseConv"),
            )
    return list(found.values())


def _axes(layer: Any, kind: str) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Attribute of a kernel -> its axes of outputs and of inputs, input channels last."""
    if kind == "Dense" or (kind.endswith("Cell") and hasattr(layer, "recurrent_kernel")):
        both = ("kernel", "recurrent_kernel") if kind != "Dense" else ("kernel",)
        return {
            name: (_last(layer, name), _but_last(layer, name))
            for name in both
            if getattr(layer, name, None) is not None
        }
    if kind == "EinsumDense":
        return {"kernel": _einsum_axes(layer)}
    rank = getattr(layer, "rank", 0)
    space = tuple(range(rank))
    if kind in ("DepthwiseConv1D", "DepthwiseConv2D"):
        return {"kernel": ((rank, rank + 1), space)}
    if kind in ("SeparableConv1D", "SeparableConv2D"):
        return {
            "depthwise_kernel": ((rank, rank + 1), space),
            "pointwise_kernel": ((rank + 1,), (*space, rank)),
        }
    if kind in ("Conv1D", "Conv2D", "Conv3D"):
        return {"kernel": ((rank + 1,), (*space, rank))}
    if kind in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"):
        return {"kernel": ((rank,), (*space, rank + 1))}
    return {}


def _last(layer: Any, name: str) -> tuple[int, ...]:
    return (len(getattr(layer, name).shape) - 1,)


def _but_last(layer: Any, name: str) -> tuple[int, ...]:
    return tuple(range(len(getattr(layer, name).shape) - 1))


def _einsum_axes(layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`abc,cde->abde`: letters of the kernel that are in the result are outputs, the others are summed."""
    left, result = layer.equation.replace(" ", "").split("->")
    letters = left.split(",")[1].replace("...", "")
    outputs = tuple(at for at, letter in enumerate(letters) if letter in result)
    return outputs, tuple(at for at in range(len(letters)) if at not in outputs)
