"""Splits: which rows a step reads. Calibration and test rows never overlap by accident."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from taxiway import plugins

if TYPE_CHECKING:
    import numpy as np

Names = str | dict[str, str]


class Split(plugins.Config, frozen=True):
    """One split, given in exactly one way: `fraction`, `rows`, or arrays of its own."""

    fraction: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(description="Share of the rows, drawn at random by the recipe's seed."),
    ] = None
    rows: Annotated[
        Annotated[str, Meta(pattern=r"^\d*:\d*$")] | None,
        Meta(description="Rows from start to before stop, such as '0:100' or '100:'."),
    ] = None
    inputs: Annotated[
        Names | None, Meta(description="Arrays of its own; one name, or model input -> name.")
    ] = None
    labels: Annotated[str | None, Meta(description="The labels that belong to `inputs`.")] = None


def check_splits(splits: Mapping[str, Split]) -> None:
    """Raise ValueError, which begins with the option's path, for a split that is given in no way or
    in several, and where splits of the same arrays could overlap without being asked to.
    """
    for name, split in splits.items():
        given = [key for key in ("fraction", "rows", "inputs") if getattr(split, key) is not None]
        if len(given) != 1:
            found = f"got {' and '.join(given)}" if given else "got none of them"
            raise ValueError(
                f"splits.{name}: a split takes exactly one of fraction, rows, inputs; {found}"
            )
        if split.labels is not None and split.inputs is None:
            raise ValueError(f"splits.{name}: labels of a split need its own inputs, too")
    fractions = {name: s.fraction for name, s in splits.items() if s.fraction is not None}
    total = sum(fractions.values())
    if total > 1 + 1e-9:
        raise ValueError(
            f"splits: fractions of {', '.join(sorted(fractions))} sum to {total:g}; at most 1"
        )
    ranges = sorted(name for name, split in splits.items() if split.rows is not None)
    if fractions and ranges:
        raise ValueError(
            f"splits: {', '.join(ranges)} give rows and {', '.join(sorted(fractions))} give "
            "fractions of the same arrays, so they would overlap; use one way for all"
        )


def split_order(
    splits: Mapping[str, Split], name: str, count: int, seed: int
) -> np.ndarray[Any, Any]:
    """Row numbers of split `name` of `count` rows, in the split's own order.

    Rows given as a range keep their order. Any other split is in random order, so that its first n
    rows represent it even where the file is sorted by class: fractions are consecutive parts, by
    split name, of one permutation. numpy's RandomState is used because its stream is frozen
    (NEP 19): the same seed draws the same rows with every numpy.
    """
    import numpy as np

    split = splits[name]
    if split.rows is not None:
        start, stop = split.rows.split(":")
        return np.arange(int(start or 0), min(int(stop or count), count))
    order = np.random.RandomState(seed % 2**32).permutation(count)
    if split.fraction is None:
        return order
    # fsum: the same boundary for both neighbours, in whatever order the recipe names the splits.
    first, last = (
        round(fsum(s.fraction or 0.0 for other, s in splits.items() if other < limit) * count)
        for limit in (name, f"{name}\0")
    )
    return order[first:last]
