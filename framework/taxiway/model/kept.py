"""Holds the promises of earlier passes against a model's file: did a step undo what one before it did?

A weight is found by its name where the file has it, else by its number of elements: a conversion renames
and transposes. Where several weights are of one size, each promise must find a weight of its own that
keeps it, in the assignment that keeps most (H. W. Kuhn's augmenting paths, 1955).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.model.model import Model
from taxiway.model.promises import Clusters, Promise, Sparsity
from taxiway.model.weights import stored_weights

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 0.005
"""How far a share of zeros may fall below the promised one."""
_OF_FOUR, _KEPT_OF_FOUR = 4, 2


@dataclass(frozen=True)
class _Found:
    """What was measured of one weight; patterns only as far as they are asked for."""

    name: str
    share: float
    distinct: int
    patterned: Mapping[str, float]


def inherited(
    before: Iterable[Promise], own: Iterable[Promise], renews: bool = False
) -> tuple[Promise, ...]:
    """The promises of a step's result: those of its input, unless the step `renews` the network, and its own.

    Its own take the place of earlier ones of the same kind and weight.
    """
    kept = {(type(promise), promise.weight): promise for promise in (() if renews else before)}
    kept |= {(type(promise), promise.weight): promise for promise in own}
    return tuple(kept.values())


def broken(promises: Sequence[Promise], model: Model) -> list[str]:
    """The promises that the file does not keep, one line each, with what was promised and found.

    A share of zeros may fall by 0.5 points and may rise; there may be no more distinct values than
    promised. A pattern is looked for where the operator says which axis is its input's; a zero is what
    stands for 0 in an integer weight. Reads the file as `stored_weights` does, and raises what it raises.
    """
    if not promises:
        return []
    by_weight: dict[tuple[str, int], list[Promise]] = {}
    for promise in promises:
        by_weight.setdefault((promise.weight, promise.size), []).append(promise)
    found = _measured(by_weight, model)
    lines: list[str] = []
    for size in dict.fromkeys(size for _, size in by_weight):
        wanted = {name: kept for (name, of), kept in by_weight.items() if of == size}
        lines += _of_one_size(wanted, found.get(size, []), size)
    return lines


def _measured(
    by_weight: Mapping[tuple[str, int], Sequence[Promise]], model: Model
) -> dict[int, list[_Found]]:
    patterns: dict[int, dict[str, Sparsity]] = {}
    for (_, size), kept in by_weight.items():
        asked = [item for item in kept if isinstance(item, Sparsity) and item.pattern]
        patterns.setdefault(size, {}).update({_key(item): item for item in asked})
    found: dict[int, list[_Found]] = {}
    for weight in stored_weights(model):
        if weight.size in patterns:
            matrix = weight.matrix() if patterns[weight.size] else None
            found.setdefault(weight.size, []).append(
                _Found(
                    weight.name,
                    weight.zeros() / weight.size,
                    weight.distinct(),
                    {}
                    if matrix is None
                    else {
                        key: patterned_share(matrix, item)
                        for key, item in patterns[weight.size].items()
                    },
                )
            )
    return found


def _of_one_size(
    wanted: Mapping[str, Sequence[Promise]], found: Sequence[_Found], size: int
) -> list[str]:
    if not found:
        return [
            f"{name}: promised {_promised(kept)}, but no weight of {size} elements is left"
            for name, kept in wanted.items()
        ]
    by_name = {weight.name: weight for weight in found}
    options: dict[str, list[int]] = {}
    for name, kept in wanted.items():
        choices = [by_name[name]] if name in by_name else found
        options[name] = [found.index(item) for item in choices if not _faults(kept, item)]
    # Equal constants are stored once: then one weight may stand for several.
    shared = len(found) < len(wanted)
    unkept = [name for name in wanted if not options[name]] if shared else _unmatched(options)
    lines = []
    for name in unkept:
        nearest = by_name.get(name) or min(found, key=lambda item: len(_faults(wanted[name], item)))
        faults = _faults(wanted[name], nearest)
        what = "; ".join(faults) or "every weight of its size stands for another one"
        lines.append(
            f"{name} (now '{nearest.name}'): {what}" if nearest.name != name else f"{name}: {what}"
        )
    return lines


def _unmatched(options: Mapping[str, Sequence[int]]) -> list[str]:
    """Names for which no weight is left in the largest assignment of one weight to each."""
    taken: dict[int, str] = {}

    def place(name: str, tried: set[int]) -> bool:
        for weight in options[name]:
            if weight not in tried:
                tried.add(weight)
                if weight not in taken or place(taken[weight], tried):
                    taken[weight] = name
                    return True
        return False

    return [
        name
        for name in sorted(options, key=lambda name: len(options[name]))
        if not place(name, set())
    ]


def _faults(kept: Iterable[Promise], found: _Found) -> list[str]:
    return [fault for promise in kept for fault in _fault(promise, found)]


def _fault(promise: Promise, found: _Found) -> list[str]:
    if isinstance(promise, Clusters):
        if found.distinct <= promise.count:
            return []
        return [f"promised {promise.count} distinct values, found {found.distinct}"]
    if found.share < promise.share - TOLERANCE:
        return [f"promised {promise.share:.2%} zeros, found {found.share:.2%}"]
    patterned = found.patterned.get(_key(promise))
    if promise.pattern == "block" and patterned is not None:
        if patterned < promise.share - TOLERANCE:
            return [f"promised {promise.share:.2%} zeros in whole blocks, found {patterned:.2%}"]
    elif promise.pattern == "2:4" and patterned is not None and patterned < 1:
        return [f"promised 2 of 4 zeros, {1 - patterned:.2%} of the groups have fewer"]
    return []


def _promised(kept: Iterable[Promise]) -> str:
    return " and ".join(
        f"{item.count} distinct values" if isinstance(item, Clusters) else f"{item.share:.2%} zeros"
        for item in kept
    )


def _key(promise: Sparsity) -> str:
    return f"{promise.pattern} {promise.block}"


def patterned_share(matrix: np.ndarray[Any, Any], promise: Sparsity) -> float:
    """2:4: the share of whole fours of neighbouring columns with at least two zeros. Block: the share of
    elements that are in a block of zeros; blocks at the edges may be smaller.

    matrix: bool `[outputs, inputs]`, true where the weight is not zero.
    """
    import numpy as np

    height, width = matrix.shape
    if promise.pattern == "2:4":
        fours = matrix[:, : width // _OF_FOUR * _OF_FOUR].reshape(-1, _OF_FOUR)
        return float(np.mean(fours.sum(1) <= _KEPT_OF_FOUR)) if fours.size else 1.0
    rows, columns = promise.block or (1, 1)
    down, right = -(-height // rows), -(-width // columns)
    padded = np.zeros((down * rows, right * columns), bool)
    padded[:height, :width] = matrix
    kept = padded.reshape(down, rows, right, columns).any(axis=(1, 3))
    whole = kept.repeat(rows, axis=0).repeat(columns, axis=1)
    return float(np.mean(~whole[:height, :width]))
