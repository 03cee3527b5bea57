"""Tensors that two models call by one name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from taxiway.parity.trace import Trace

TRUSTED_SHARE = 0.7
"""Of the tensors that share a name, how many must come from the same kind of operator for names to
be believed: exporters that number their tensors give the same names to different things."""
MIN_SHARED = 2
_OUTPUT_NUMBER = re.compile(r":\d+$")


def common_names(reference: Trace, candidate: Trace) -> dict[str, str]:
    """Reference tensor by candidate tensor, for models of one format whose names can be believed;
    else nothing. A tensor that a fault may have changed is still found by it."""
    if reference.model.format != candidate.model.format:
        return {}
    kinds = {name: op.type for op in reference.operators for name in op.outputs}
    shared = [(name, op.type) for op in candidate.operators for name in op.outputs if name in kinds]
    same = sum(kinds[name] == kind for name, kind in shared)
    if len(shared) < MIN_SHARED or same < TRUSTED_SHARE * len(shared):
        return {}
    return {name: name for name, _ in shared}


def output_pairs(reference: Trace, candidate: Trace) -> list[tuple[str, str]]:
    """(reference tensor, candidate tensor) of each output: by the signature's names where both
    sides agree on them, else by order."""
    ours = _by_name(reference)
    theirs = _by_name(candidate)
    if set(ours) == set(theirs):
        return [(ours[name], theirs[name]) for name in ours]
    return list(zip(ours.values(), theirs.values(), strict=False))


def _by_name(trace: Trace) -> Mapping[str, str]:
    specs = trace.model.signature.outputs
    return {
        _OUTPUT_NUMBER.sub("", spec.name): tensor
        for spec, tensor in zip(specs, trace.outputs, strict=True)
    }
