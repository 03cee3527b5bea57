"""Operators that stay float in a quantized ONNX graph, each with weights in the precision that it is kept in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Precision
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.constants import drop_unread


def in_own_precision(proto: Any, model: Model, kept: Mapping[str, Precision]) -> Any:
    """The onnx.ModelProto with the float nodes in `kept` as it says: in float16 between casts, or in
    float32 from 8-bit weights.

    Raises StepError for a node without float16, and for a weight with NaN or Inf.
    """
    from taxiway.optimize.quantize.onnx.halves import into_halves

    halves = {name for name, kind in kept.items() if kind == "float16"}
    small = {name for name, kind in kept.items() if kind == "int8_weights"}
    if small:
        _store_small(proto.graph, small, model)
    return into_halves(graphs.typed(proto), halves) if halves else proto


def _store_small(graph: Any, names: Collection[str], model: Model) -> None:
    """Store weights as int8 with a scale per output channel, where that makes the file smaller.

    Cast and Mul bring them back, for ONNX Runtime does those once, when it loads the file. It keeps
    DequantizeLinear for every call, and a convolution with such weights took twice as long.
    """
    from taxiway.optimize.quantize.onnx.places import places

    weights = graphs.constants(graph)
    made: dict[tuple[str, int], str] = {}
    nodes: list[Any] = []
    for node in graph.node:
        for place in places(node, weights) if node.name in names else ():
            key = (node.input[place.index], place.output)
            if key not in made:
                graphs.check_constants(graph, [node], model)
                made[key], new = _restored(graph, *key, weights)
                nodes += new
            node.input[place.index] = made[key]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph)


def _restored(
    graph: Any, name: str, axis: int, weights: Mapping[str, Any]
) -> tuple[str, list[Any]]:
    """The name of the weight to read, and the nodes that make it; the old one and none where 8 bits
    save nothing."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from taxiway.optimize.quantize.codes import per_channel
    from taxiway.optimize.quantize.onnx.coder import WORTH

    found = per_channel(numpy_helper.to_array(weights[name]), 8, axis, symmetric=True)
    if graphs.size_of(weights[name]) - found.size < WORTH:
        return name, []
    stem = f"{name}_int8_axis{axis}"
    others = [at for at in range(found.codes.ndim) if at != axis]
    parts = {"codes": found.codes, "scale": np.expand_dims(found.scale, others)}
    for what, values in parts.items():
        graph.initializer.append(numpy_helper.from_array(values, f"{stem}_{what}"))
    real, cast = f"{stem}_real", f"{stem}_cast"
    return real, [
        helper.make_node("Cast", [f"{stem}_codes"], [cast], cast, to=TensorProto.FLOAT),
        helper.make_node("Mul", [cast, f"{stem}_scale"], [real], real),
    ]
