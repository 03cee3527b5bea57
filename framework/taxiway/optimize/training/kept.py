"""What earlier passes promised of single weights, as views: no training undoes it."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.promises import Clusters, Sparsity
from taxiway.optimize.training.network import named_weights
from taxiway.optimize.training.views import View


def kept_promises(network: Any, model: Model) -> tuple[View, ...]:
    """Views that keep what `model.promises` says of the network's weights, to be put before a pass's own.

    Shared values come first, then zeros: a zero stays exactly zero. Raises StepError where a promise
    is about a weight that the network does not have, or of another size.
    """
    import numpy as np

    weights = named_weights(network)
    trainable = {id(variable) for variable in network.trainable_weights}
    masks, groups = {}, {}
    for promise in model.promises:
        variable = weights.get(promise.weight)
        if variable is None or int(np.prod(variable.shape)) != promise.size:
            found = "is not there" if variable is None else f"has shape {list(variable.shape)}"
            raise StepError(
                f"an earlier pass promised something of weight '{promise.weight}' with "
                f"{promise.size:,} elements, which {found}",
                f"weights: {', '.join(list(weights)[:8])}",
            )
        if id(variable) not in trainable:
            continue
        value = np.asarray(variable.value)
        if isinstance(promise, Sparsity):
            masks[promise.weight] = value != 0
        elif isinstance(promise, Clusters):
            _, group = np.unique(value, return_inverse=True)
            groups[promise.weight] = group.reshape(value.shape).astype(np.int32)
    views: list[View] = []
    if groups:
        from taxiway.optimize.training.shared_values import SharedValues

        views.append(SharedValues(groups))
    if masks:
        from taxiway.optimize.training.mask import Mask

        views.append(Mask(masks))
    return tuple(views)
