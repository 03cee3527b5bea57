"""The figures of source and result side by side, as gates, bundles and reports read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.execute.plan import BASELINE
from taxiway.execute.store import Entry


def compared(entries: Mapping[str, Entry | None]) -> dict[str, Any]:
    """`{"n": ..., "subjects": {"source": {metric: value}, "result": {...}}}`; empty before `evaluate`."""
    subjects = {}
    for subject, step in (("source", BASELINE), ("result", "evaluate")):
        entry = entries.get(step)
        if entry is not None:
            subjects[subject] = dict(entry.record["figures"])
    if "result" not in subjects:
        return {}
    n = [figures.pop("n") for figures in subjects.values()][-1]
    if "source" in subjects:
        subjects["source"]["agreement"] = 1.0
    return {"n": n, "subjects": subjects}
