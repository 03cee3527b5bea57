"""Sizes that hang together: groups of channels that must stay equal, and sums and multiples of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

Extent = tuple[tuple[int, Fraction], ...]
"""A size as a sum: (group, factor) terms. Empty: a size of the model's own that never changes."""
FIXED: Extent = ()


class Groups:
    """Which layers' channels must change together, to a multiple of what, and which may not change.

    Layers that meet in an addition are one group (union-find). A group that reaches an input, an
    output, or a layer whose meaning for channels is not known is pinned.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._sizes: list[int] = []
        self._multiples: list[int] = []
        self._pinned: list[bool] = []
        self._one = self.new(1)
        self.pin(self._one)

    def fixed(self, size: int) -> Extent:
        """A part of a sum that never changes."""
        return self.times(self._one, Fraction(size))

    def new(self, size: int) -> Extent:
        """A group of one layer's channels."""
        self._parents.append(len(self._parents))
        self._sizes.append(size)
        self._multiples.append(1)
        self._pinned.append(False)
        return ((len(self._parents) - 1, Fraction(1)),)

    def pin(self, *extents: Extent) -> None:
        """These sizes stay."""
        for extent in extents:
            for group, _ in extent:
                self._pinned[self._root(group)] = True

    def join(self, one: Extent, other: Extent) -> Extent:
        """Both sizes must stay equal."""
        if len(one) == len(other) and all(
            f == g for (_, f), (_, g) in zip(one, other, strict=True)
        ):
            for (a, _), (b, _) in zip(one, other, strict=True):
                self._unite(self._root(a), self._root(b))
            return one
        self.pin(one, other)
        return one or other

    def divide(self, extent: Extent, by: int) -> None:
        """The size must stay a multiple of `by`."""
        for group, factor in extent:
            root = self._root(group)
            multiple = math.lcm(self._multiples[root], by * factor.denominator)
            self._multiples[root] = multiple
            if self._sizes[root] % multiple:
                self._pinned[root] = True

    def times(self, extent: Extent, factor: Fraction) -> Extent:
        """The size of what has `factor` elements for each of `extent`."""
        product = tuple((group, part * factor) for group, part in extent)
        self.divide(product, 1)
        return product

    def scaled(self, extent: Extent, width: float) -> int | None:
        """The size that an extent gets when every free group keeps the share `width`; None: as it was."""
        if not extent:
            return None
        total = sum(
            (factor * self._scaled(self._root(g), width) for g, factor in extent), Fraction(0)
        )
        return int(total)

    def _scaled(self, root: int, width: float) -> int:
        size, multiple = self._sizes[root], self._multiples[root]
        if self._pinned[root]:
            return size
        return max(1, int(size * width / multiple + 0.5)) * multiple

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            group = self._parents[group]
        return group

    def _unite(self, a: int, b: int) -> None:
        if a == b:
            return
        self._parents[b] = a
        self._multiples[a] = math.lcm(self._multiples[a], self._multiples[b])
        self._pinned[a] |= self._pinned[b]
        if self._sizes[a] != self._sizes[b] or self._sizes[a] % self._multiples[a]:
            self._pinned[a] = True


def concatenated(extents: Iterable[Extent]) -> Extent:
    """The size of several next to one another."""
    return tuple(term for extent in extents for term in extent)
