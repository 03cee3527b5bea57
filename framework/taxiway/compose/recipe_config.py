"""The keys of a recipe that belong to no section."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.plugins import ByteSize, Config, Duration


class Limits(Config, frozen=True):
    """What one step may use before it is stopped."""

    memory: Annotated[
        ByteSize | None,
        Meta(description="Memory of the worker; null: four fifths of the machine's."),
    ] = None
    time: Annotated[Duration, Meta(description="Time of one step.")] = "60 min"


class RecipeConfig(Config, frozen=True):
    """Name, seed and limits of a recipe."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$(?!\n)",
            description="Name of the recipe and of what it makes: letters, digits, '_' and '-'.",
        ),
    ]
    description: Annotated[
        str | None, Meta(description="What the recipe is for, in one sentence.")
    ] = None
    seed: Annotated[
        int, Meta(ge=0, le=2**32 - 1, description="Seed of everything that is random.")
    ] = 0
    limits: Annotated[Limits, Meta(description="What one step may use.")] = Limits()
