"""How a step is called in a table: a proof stands below the step that it judges."""

from __future__ import annotations


def label(step: str) -> str:
    return "  proof" if step.startswith("parity.") else step
