"""The options that every source of model files has beside its `path`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.plugins import Config


class Located(Config, frozen=True, kw_only=True):
    """The pin and the licence of what `path` names."""

    sha256: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] | None,
        Meta(
            description="SHA-256 of what `path` names, as 64 hex digits: of the wheel, of the file, or "
            "of the folder's list of digests. A remote location needs it; any other is held to it."
        ),
    ] = None
    licence: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+() -]{0,99}$(?!\n)")] | None,
        Meta(
            description="Licence of the model as an SPDX expression, for the records; null takes what "
            "its model card or its package states."
        ),
    ] = None
