"""Narrower layers: each keeps a share of its channels or units."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from taxiway.errors import StepError
from taxiway.optimize.distill.student.build import Changes
from taxiway.optimize.distill.student.channels import Channels
from taxiway.optimize.distill.student.extents import FIXED
from taxiway.optimize.distill.student.unrolled import Unrolled


def narrower(graph: Unrolled, width: float, keep: Sequence[str]) -> Changes:
    """The sizes of every layer when free channels keep the share `width`, rounded, one at least.

    keep: names of layers that stay as they are. Raises StepError for a name that the graph does not
    have, and where no layer may become narrower.
    """
    import keras

    known = {call.name for call in graph.calls}
    unknown = sorted(set(keep) - known)
    if unknown:
        near = get_close_matches(unknown[0], sorted(known), n=3, cutoff=0.3) or sorted(known)[:8]
        raise StepError(
            f"student.keep: the teacher has no layer '{unknown[0]}'", f"nearest: {', '.join(near)}"
        )
    channels = Channels(dict.fromkeys(keras.tree.flatten(graph.inputs), FIXED))
    for call in graph.calls:
        channels.see(call, kept=call.name in keep)
    channels.groups.pin(*(channels.extents[value] for value in keras.tree.flatten(graph.outputs)))
    changes = channels.changes(width)
    if not any(set(options) - {"rate"} for options in changes.values()):
        raise StepError(
            f"student.width {width:g} leaves every layer of the teacher as it is: each is tied to an "
            "input, an output, or a layer whose channels must stay",
            "give student.file or student.architecture",
        )
    return changes
