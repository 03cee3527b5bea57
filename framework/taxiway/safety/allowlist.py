"""The checked-in lists of what a model may hold; docs/allowlists/ makes them from the libraries."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def allowlist(name: str) -> Any:
    """The content of one list, such as `tensorflow_ops`."""
    return json.loads((files("taxiway.safety") / "lists" / f"{name}.json").read_text())
