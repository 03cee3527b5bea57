"""One cut: what each channel matters, which ones go, and the proof."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.optimize.channels.config import PruneChannelsConfig
from taxiway.plugins import Context, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.optimize.channels.choice import Metric
    from taxiway.optimize.channels.graph import ChannelGraph
    from taxiway.optimize.channels.prunable import Prunable

SHOWN = 8
"""Protected layers that an error lists."""


@dataclass(frozen=True)
class Goal:
    """Share of the metric to cut, in `steps` cuts that each take the same share of what is left."""

    metric: Metric
    share: float
    steps: int

    @classmethod
    def of(cls, options: PruneChannelsConfig) -> Goal:
        target = options.target
        if target is None:
            return cls("channels", options.share, options.iterations)
        metric: Metric = "macs" if target.macs is not None else "parameters"
        return cls(metric, target.macs or target.parameters or 0.0, options.iterations)

    def left(self, before: int, step: int) -> float:
        """What may be left of `before` after this step, from 1 on."""
        import math

        left: float = before * (1 - self.share) ** (step / self.steps)
        # A channel cannot be cut in part.
        return math.ceil(left - 1e-9) if self.metric == "channels" else left


@dataclass(frozen=True)
class Done:
    """A cut network, and what was proven: the largest relative difference, None where nothing was."""

    network: Prunable
    graph: ChannelGraph
    proof: float | None


def traced(network: Prunable, options: PruneChannelsConfig) -> ChannelGraph:
    """What can be cut. Raises StepError with the reasons where that is nothing."""
    graph = network.trace(options.only, options.exclude)
    if not graph.groups:
        listed = [f"{layer}: {why}" for layer, why in graph.protected.items()]
        more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
        reasons = "; ".join(listed[:SHOWN]) + more
        raise StepError(
            f"no channel of {network.name} can be cut: {reasons or 'it has no layer with a kernel'}",
            "drop the pass: '~optimize.prune_channels'"
            if not (options.only or options.exclude)
            else "widen `only`, or shorten `exclude`",
        )
    return graph


def cut_once(
    network: Prunable,
    graph: ChannelGraph,
    at_most: float,
    options: PruneChannelsConfig,
    selection: Selection | None,
    context: Context,
) -> Done:
    """Cut the least important channels until at most `at_most` of the goal's metric is left.

    Raises StepError where the options do not allow that, or where the proof fails.
    """
    from taxiway.optimize.channels.choice import Limits, choose
    from taxiway.optimize.channels.proof import prove

    chosen = choose(
        graph,
        scores(network, graph, options, selection, context),
        Goal.of(options).metric,
        at_most,
        options.ranking == "global",
        Limits(options.min_channels, options.round_to),
    )
    pruned = network.without(graph, chosen)
    return Done(pruned, graph, prove(network, graph, chosen, pruned, context.seed))


def scores(
    network: Prunable,
    graph: ChannelGraph,
    options: PruneChannelsConfig,
    selection: Selection | None,
    context: Context,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The importance of each channel, by the measure that the options name."""
    from taxiway.optimize.channels import importance

    if options.importance == "l1" or selection is None:
        return importance.by_weights(graph, network.read)
    chosen = _there(selection, context)
    if options.importance == "activation":
        return importance.by_activation(graph, network.means(graph, chosen, context))
    return importance.by_gradient(graph, network.products(chosen, context))


def _there(selection: Selection, context: Context) -> Selection:
    """The selection with no more rows than the split has. Raises StepError where there are none."""
    if context.data is None:
        raise StepError("importance is measured on samples, and the recipe has no data", "data=npz")
    count = context.data.count(Selection(selection.split))
    if not count:
        raise StepError(f"split '{selection.split}' has no rows", "add samples to the split")
    return replace(selection, samples=min(selection.samples or count, count))


def facts(before: ChannelGraph, after: ChannelGraph, proofs: list[float | None]) -> dict[str, Any]:
    """What the run tells of the cut, as JSON."""
    whole, cut = before.outputs(before.nothing()), after.outputs(after.nothing())
    known = [proof for proof in proofs if proof is not None]
    return {
        "layers": {layer: [count, cut[layer]] for layer, count in whole.items()},
        "macs": [graph.macs(graph.nothing()) for graph in (before, after)],
        "parameters": [graph.parameters(graph.nothing()) for graph in (before, after)],
        "channels": [graph.channels for graph in (before, after)],
        "protected": dict(before.protected),
        "proof": max(known) if len(known) == len(proofs) else None,
    }
