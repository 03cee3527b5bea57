"""What a pass promises of single weights, and every later step must keep: zeros, and shared values.

A promise names no file format: a conversion renames and transposes weights, folds scales into them, and
stores them as integers; the number of elements stays, and so do zeros and the count of distinct values.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Pattern = Literal["2:4", "block"]


class Sparsity(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sparsity"):
    """A weight that holds zeros.

    weight: its name where the promise was made. size: elements. share: of them that are zero, 0..1.
    pattern: `2:4`: at most two of four neighbours along the input axis are not zero; `block`: zeros come in
    whole blocks of `block` (rows, columns); None: anywhere.
    """

    weight: str
    size: int
    share: float
    pattern: Pattern | None = None
    block: tuple[int, int] | None = None


class Clusters(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="clusters"):
    """A weight that holds few distinct values.

    weight: its name where the promise was made. size: elements. count: distinct values, a zero of a mask
    included.
    """

    weight: str
    size: int
    count: int


Promise = Sparsity | Clusters
