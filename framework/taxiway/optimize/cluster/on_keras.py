"""Clustering of a Keras network: k-means, then training of the values that elements share."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.promises import Clusters, Sparsity
from taxiway.optimize.cluster.weights import ClusterWeights
from taxiway.plugins import Context, Selection


class KerasClusters(ClusterWeights):
    """Batch normalizations are folded first: a converter multiplies each channel by its own factor."""

    libraries = ("tensorflow", "keras")
    seeded = True
    trains = True

    def reads(self, options: Any) -> tuple[Selection, ...]:
        selections: tuple[Selection, ...] = options.training.reads()
        return selections

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import numpy as np

        from taxiway.optimize.cluster.kmeans import shared_values
        from taxiway.optimize.fold import fold_batch_norm
        from taxiway.optimize.kernels import chosen, kernels
        from taxiway.optimize.training.fit import fit
        from taxiway.optimize.training.mask import Mask
        from taxiway.optimize.training.network import load_network, save_network
        from taxiway.optimize.training.shared_values import SharedValues

        network = fold_batch_norm(load_network(model, context))
        pruned = {item.weight for item in model.promises if isinstance(item, Sparsity)}
        groups, masks, told = {}, {}, {}
        for kernel in chosen(kernels(network), options.only, options.exclude):
            before = np.asarray(kernel.variable)
            zeros = options.preserve_sparsity or kernel.name in pruned
            table, group = shared_values(before, options.clusters, zeros)
            after = table[group]
            kernel.variable.assign(after)
            groups[kernel.name] = group
            if zeros and not after.all():
                masks[kernel.name] = after != 0
            told[kernel.name] = {
                "values": len(table),
                "relative_error": relative_error(before, after),
            }
        if not groups:
            raise StepError(
                f"nothing to cluster: {model.path.name} has no layer with a kernel",
                "leave the pass out, or check `only` and `exclude`",
            )
        context.tell("clusters", told)
        views = [SharedValues(groups), *([Mask(masks)] if masks else [])]
        fit(network, model, options.training, context, views=views)
        found = {kernel.name: np.asarray(kernel.variable) for kernel in kernels(network)}
        promises = [
            Clusters(weight=name, size=values.size, count=np.unique(values).size)
            for name, values in found.items()
            if name in groups
        ]
        return save_network(network, model, context, promises)


def relative_error(before: Any, after: Any) -> float:
    """Norm of the change over the norm of the weight; 0 for a weight of zeros."""
    import numpy as np

    norm = float(np.linalg.norm(before.astype(np.float64)))
    changed = float(np.linalg.norm(before.astype(np.float64) - after))
    return round(changed / norm, 6) if norm else 0.0
