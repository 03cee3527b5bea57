"""An ONNX graph without the channels that are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.optimize.channels.graph import ChannelGraph, Cut, cut_weight, muted_weight
from taxiway.optimize.channels.layers import Stored
from taxiway.optimize.channels.onnx.constants import drop_unread


def read(proto: Any, name: str) -> np.ndarray[Any, Any]:
    """The values of an initializer."""
    from onnx import numpy_helper

    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == name)
    array: np.ndarray[Any, Any] = numpy_helper.to_array(tensor)
    return array


def without(proto: Any, graph: ChannelGraph, cut: Cut) -> Any:
    """The graph with smaller weights, and with the numbers of channels that it notes counted anew."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(proto)
    _replace(made, {name for name, _ in graph.slots}, lambda n, a: cut_weight(graph, n, a, cut))
    nodes = {node.name: node for node in made.graph.node}
    opset = next((o.version for o in made.opset_import if o.domain in ("", "ai.onnx")), 1)
    for owner in dict.fromkeys(stored.owner for stored in graph.stored):
        counts = {s.key: _count(s, cut) for s in graph.stored if s.owner == owner}
        _note(made, owner, nodes[owner], counts, opset, graph.bases.get(owner))
    drop_unread(made.graph)
    constants = {tensor.name for tensor in made.graph.initializer}
    inputs = [value for value in made.graph.input if value.name not in constants]
    del made.graph.input[:]
    made.graph.input.extend(inputs)
    made.ir_version = max(made.ir_version, 4)
    del made.graph.value_info[:]
    return made


def muted(proto: Any, graph: ChannelGraph, cut: Cut) -> Any:
    """The whole graph, in which nothing takes in the channels that are cut: it gives what `without` gives."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(proto)
    names = {name for (name, _), roles in graph.roles.items() if "in" in roles}
    _replace(made, names, lambda n, a: muted_weight(graph, n, a, cut))
    return made


def _replace(proto: Any, names: set[str], change: Any) -> None:
    from onnx import numpy_helper

    for tensor in proto.graph.initializer:
        if tensor.name in names:
            array = change(tensor.name, numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _count(stored: Stored, cut: Cut) -> int:
    return int((~cut[stored.ids]).sum())


def _note(
    proto: Any,
    owner: str,
    node: Any,
    counts: Mapping[tuple[str | int, ...], int],
    opset: int,
    base: Sequence[int] | None,
) -> None:
    """Write numbers of channels where a node keeps them: an attribute, or a constant of its own.

    base: the numbers around them, where the graph computes them so far.
    """
    import onnx

    kind = next(iter(counts))[0]
    places = {int(key[1]): count for key, count in counts.items() if len(key) > 1}
    if kind == "group":
        _set_attribute(node, "group", counts[("group",)])
        return
    if kind == "split" and opset < 13:
        _set_attribute(node, "split", [places[at] for at in range(len(places))])
        return
    at = {"shape": 1, "split": 1, "sizes": 3}[str(kind)]
    if kind == "split":
        # An equal split has no sizes so far.
        values = np.array([places[place] for place in range(len(places))], np.int64)
        kept = [attribute for attribute in node.attribute if attribute.name != "num_outputs"]
        del node.attribute[:]
        node.attribute.extend(kept)
    else:
        values = np.array(read(proto, node.input[at]) if base is None else base, np.int64)
        for place, count in places.items():
            values[place] = count
    name = f"{owner}/{kind}_cut"
    tensor = onnx.numpy_helper.from_array(values, name)
    proto.graph.initializer.append(tensor)
    node.input.extend([""] * (at + 1 - len(node.input)))
    node.input[at] = name


def _set_attribute(node: Any, name: str, value: Any) -> None:
    import onnx

    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
