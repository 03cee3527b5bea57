"""Which TensorFlow ops a saved model may hold: the checked-in list, read once."""

from __future__ import annotations

from collections.abc import Container
from functools import cache

from taxiway.safety.allowlist import allowlist

SAVER: frozenset[str] = frozenset(allowlist("tensorflow_ops")["saver"])
"""Ops that read or write checkpoints: only the saver's own nodes may reach them."""
TABLE_FILE: frozenset[str] = frozenset(allowlist("tensorflow_ops")["table_file"])
"""Ops that fill a table from a file: only from one of the model's assets."""


@cache
def _reasons() -> dict[str, str | None]:
    """Op -> why it is refused; None for those that only compute."""
    known = allowlist("tensorflow_ops")
    reasons: dict[str, str | None] = dict.fromkeys([*known["computes"], *SAVER, *TABLE_FILE])
    for reason, ops in known["refused"].items():
        reasons |= dict.fromkeys(ops, reason)
    return reasons


def why_not(op: str, functions: Container[str]) -> str | None:
    """Why a node must not run `op`, or None; `functions` are those of the model's own library."""
    known = _reasons()
    if op in known:
        return known[op]
    if op in functions:
        return None
    version = allowlist("tensorflow_ops")["tensorflow"]
    return (
        f"is none of TensorFlow {version}'s own ops, and needs a library that the model brings or "
        "names: do that part outside of the model, and export the rest"
    )
