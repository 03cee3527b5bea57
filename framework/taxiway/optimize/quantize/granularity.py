"""How many scales a weight has."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from taxiway.model import Model
from taxiway.model.promises import Clusters

Granularity = Literal["per_channel", "per_tensor"]
GranularityOption = Annotated[
    Granularity | None,
    Meta(
        description="One scale per output channel of a weight, or one per weight. null: per_channel; "
        "per_tensor where weights were clustered, for a scale per channel would make more values."
    ),
]


def granularity_of(option: Granularity | None, model: Model) -> Granularity:
    """What `option` means for this model."""
    if option is not None:
        return option
    clustered = any(isinstance(promise, Clusters) for promise in model.promises)
    return "per_tensor" if clustered else "per_channel"
