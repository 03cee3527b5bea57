"""A plugin's options: typed once, and from that the JSON Schema, the reference page and the object a step gets."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every plugin's options.

    Describe a field with `Annotated[type, Meta(description=...)]`; raise `ValueError` in
    `__post_init__` for a rule over several fields.
    """


InputPath = Annotated[
    str,
    Meta(
        min_length=1,
        extra_json_schema={"format": "input-path"},
    ),
]
"""A file or folder that the step reads. In a recipe it is relative to the recipe's folder and stays
inside it; the content's digest, not the path, enters the cache key. A step gets it absolute."""

ModelLocation = Annotated[
    str,
    Meta(
        min_length=1,
        extra_json_schema={"format": "model-location"},
    ),
]
"""Like `InputPath`, or a location that `taxiway.fetch.location` reads, such as `wheel://` or `https://`. A
remote one is pinned by the option `sha256` beside it, which enters the cache key in its place. A step
gets the local path of what was fetched."""

PIN, LICENCE = "sha256", "licence"
"""Options beside a `ModelLocation`, as `taxiway.source.located` declares them."""

Duration = Annotated[
    str,
    Meta(
        pattern=r"^\d+(\.\d+)?([eE][+-]?\d+)?\s*(us|ms|s|min|h)$",
        extra_json_schema={"x-quantity": "a duration with its unit, such as '2 ms' or '30 min'"},
    ),
]
"""Text such as `2 ms`; `taxiway.plugins.quantity.seconds` reads it."""

ByteSize = Annotated[
    str,
    Meta(
        pattern=r"^\d+(\.\d+)?([eE][+-]?\d+)?\s*(B|KB|MB|GB|KiB|MiB|GiB)$",
        extra_json_schema={"x-quantity": "a size with its unit, such as '200 KiB' or '4 GiB'"},
    ),
]
"""Text such as `200 KiB`; `taxiway.plugins.quantity.size_in_bytes` reads it."""
