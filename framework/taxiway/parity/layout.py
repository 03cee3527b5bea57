"""One tensor in two layouts: NCHW and NHWC, transposed, squeezed, flattened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from math import prod
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
MAX_PERMUTED = 5
"""Axes longer than 1 up to which every order is tried; beyond it, channels first and last."""


class Layout(NamedTuple):
    """How the axes longer than 1 of one tensor lie in another: `order` of them, then a reshape."""

    order: tuple[int, ...]

    def arrange(self, value: Array, shape: tuple[int, ...]) -> Array:
        """`value` in the other tensor's `shape`."""
        squeezed = value.reshape([size for size in value.shape if size != 1])
        return squeezed.transpose(self.order).reshape(shape)

    @property
    def plain(self) -> bool:
        return self.order == tuple(sorted(self.order))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def layouts(source: tuple[int, ...], target: tuple[int, ...]) -> Iterator[Layout]:
    """Every way in which a tensor of shape `source` can lie in one of shape `target`, the most
    usual first: the same order, the last axis moved forward (NHWC to NCHW), and its inverse."""
    if prod(source) != prod(target):
        return
    axes, wanted = _squeezed(source), _squeezed(target)
    n = len(axes)
    plain = tuple(range(n))
    usual = [plain]
    for keep in (1, 0):
        if n - keep >= 2:
            head, tail = plain[:keep], plain[keep:]
            usual += [(*head, tail[-1], *tail[:-1]), (*head, *tail[1:], tail[0])]
    if n >= 2:
        usual.append((*plain[:-2], plain[-1], plain[-2]))
    every = permutations(plain) if n <= MAX_PERMUTED else ()
    seen: set[tuple[int, ...]] = set()
    for order in (*usual, *every):
        if order in seen:
            continue
        seen.add(order)
        if order == plain or _reshapes(tuple(axes[at] for at in order), wanted):
            yield Layout(order)


def _reshapes(axes: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether neighbouring axes of one shape can be merged to give the other, either way."""
    short, long = sorted((axes, wanted), key=len)
    at = 0
    for size in short:
        product = 1
        while product < size and at < len(long):
            product *= long[at]
            at += 1
        if product != size:
            return False
    return at == len(long)
