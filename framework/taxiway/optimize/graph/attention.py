"""Attention in a graph: whether there is one, of how many heads, and how wide the network is."""

from __future__ import annotations

from collections import Counter
from typing import Any

TO_HEADS = [0, 2, 1, 3]
"""The permutation from (batch, position, head, width) to (batch, head, position, width)."""


def has_attention(graph: Any) -> bool:
    """Whether a Softmax stands between two products of matrices that are computed, both of them."""
    return any(True for _ in softmaxes(graph))


def softmaxes(graph: Any) -> Any:
    """The Softmax nodes of attention: scores come from a product, weights go into one."""
    constants = {tensor.name for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "Softmax":
            continue
        readers = [n for n in graph.node if node.output[0] in n.input]
        before: Any = makers.get(node.input[0])
        for _ in range(4):
            if before is None or before.op_type == "MatMul":
                break
            computed = [name for name in before.input if name in makers]
            before = makers[computed[0]] if computed else None
        if before is None or before.op_type != "MatMul":
            continue
        if any(r.op_type == "MatMul" and not constants & {*r.input} for r in readers):
            yield node


def sizes(graph: Any) -> tuple[int, int]:
    """(heads, hidden size) of a transformer, each 0 where the graph does not show it.

    The hidden size is the length of most LayerNormalization weights; the width of a head is the last
    axis of the Reshape before the heads are moved forward.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    widths = Counter(
        constants[node.input[1]].dims[0]
        for node in graph.node
        if node.op_type in ("LayerNormalization", "SkipLayerNormalization")
        and node.input[1] in constants
    )
    hidden = widths.most_common(1)[0][0] if widths else 0
    found: Counter[int] = Counter()
    for node in graph.node:
        perm = [list(a.ints) for a in node.attribute if a.name == "perm"]
        reshape = makers.get(node.input[0]) if node.op_type == "Transpose" else None
        if perm != [TO_HEADS] or reshape is None or reshape.op_type != "Reshape":
            continue
        shape = _tail(reshape.input[1], constants, makers, numpy_helper)
        if len(shape) >= 2 and shape[-1] > 0:
            heads = shape[-2] if shape[-2] > 0 else hidden // shape[-1]
            found[heads] += 1
    return (found.most_common(1)[0][0] if found else 0), hidden


def _tail(name: str, constants: Any, makers: Any, numpy_helper: Any) -> list[int]:
    """The last entries of a shape that are constants."""
    if name in constants:
        return [int(size) for size in numpy_helper.to_array(constants[name]).ravel()]
    node = makers.get(name)
    if node is None or node.op_type != "Concat":
        return []
    tail: list[int] = []
    for part in reversed(node.input):
        if part not in constants:
            break
        tail = [int(size) for size in numpy_helper.to_array(constants[part]).ravel()] + tail
    return tail
