"""Which operators a pass works on, as a recipe names them: by name, by type, or by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal

from msgspec import Meta

from taxiway.errors import StepError

Precision = Literal["float32", "float16", "int8_weights"]
"""What an operator is kept in while others are quantized. float16: its weights are stored so.
int8_weights: its weights are stored in 8 bits, with a scale per output channel; it computes in float32."""

OperatorPattern = Annotated[str, Meta(min_length=1, max_length=300)]


@dataclass(frozen=True)
class Operator:
    """One operator of a graph.

    name: unique in the graph: an ONNX node's name (or `Type_index` where it has none), in TFLite the name
    of its first output. type: such as `Conv` or `CONV_2D`. weights: bytes of its constant inputs.
    """

    name: str
    type: str
    weights: int = 0


def precisions(
    operators: Sequence[Operator],
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    keep: Mapping[str, Precision] | None = None,
) -> dict[str, Precision]:
    """Operator name -> the precision it stays in; an operator that is not in it is quantized.

    A pattern is a name, else a type (in any case), else a regular expression that matches a whole name.
    `keep` goes before `exclude`, which goes before `only`. Raises StepError for a pattern that matches
    nothing, with the nearest name, and for one that is no regular expression.
    """
    kept: dict[str, Precision] = {}
    wanted = {name for pattern in only for name in matching(operators, pattern)}
    if wanted:
        kept |= {op.name: "float32" for op in operators if op.name not in wanted}
    for pattern in exclude:
        kept |= dict.fromkeys(matching(operators, pattern), "float32")
    for pattern, precision in (keep or {}).items():
        kept |= dict.fromkeys(matching(operators, pattern), precision)
    return kept


def matching(operators: Sequence[Operator], pattern: str) -> list[str]:
    """Names of the operators that a pattern means. Raises StepError where it means none."""
    by_name = [op.name for op in operators if op.name == pattern]
    if by_name:
        return by_name
    by_type = [op.name for op in operators if op.type.lower() == pattern.lower()]
    if by_type:
        return by_type
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise StepError(f"'{pattern}' is no regular expression: {error}") from error
    found = [op.name for op in operators if expression.fullmatch(op.name)]
    if not found:
        known = [*dict.fromkeys(op.type for op in operators), *(op.name for op in operators)]
        near = get_close_matches(pattern, known, n=3, cutoff=0.4) or known[:8]
        raise StepError(
            f"no operator is called '{pattern}', by name, type or regular expression",
            f"nearest: {', '.join(near)}",
        )
    return found
