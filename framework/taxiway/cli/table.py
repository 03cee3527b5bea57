"""Plain aligned tables and JSON without a library: the light commands start in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def aligned(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with one column per name; None is shown as `-`, the last column is not padded."""
    cells = [list(columns), *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def emit(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print rows: all of their fields as JSON, or the named columns as a table."""
    print(json.dumps(list(rows), indent=2, default=str) if as_json else aligned(columns, rows))
