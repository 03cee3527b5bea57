"""The exact GELU, written out in whatever order, in the order that TFLite's converter knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from taxiway.convert.repairs.repair import Repair

_ROOT = 2**0.5


def applies(model: Any) -> int:
    return sum(1 for _ in _found(model.graph))


def apply(model: Any) -> int:
    """x*(1 + erf(x/sqrt(2)))*0.5 becomes (x*0.5)*(erf(x/sqrt(2)) + 1): halving is exact in any order."""
    from onnx import helper

    graph = model.graph
    count = 0
    while match := next(_found(graph), None):
        x, half, add, tail = match
        end = tail[-1]
        at = list(graph.node).index(end)
        halved = f"{end.output[0]}__half"
        new = [
            helper.make_node("Mul", [x, half], [halved], f"{end.name}__half" if end.name else ""),
            helper.make_node("Mul", [halved, add.output[0]], [end.output[0]], end.name),
        ]
        nodes = list(graph.node)
        nodes[at : at + 1] = new
        gone = {id(node) for node in tail}
        kept = [node for node in nodes if id(node) not in gone]
        del graph.node[:]
        graph.node.extend(kept)
        count += 1
    return count


def _found(graph: Any) -> Iterator[tuple[str, str, Any, list[Any]]]:
    """x, the name of the constant 0.5, the Add after Erf, and the Mul nodes after that, for each GELU in
    another order than (x*0.5)*(erf + 1)."""
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    makers = {name: node for node in graph.node for name in node.output}
    constants = _scalars(graph)
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)

    def only_user(node: Any, op: str) -> Any:
        (name,) = node.output
        follower = users.get(name, [None])[0]
        return follower if uses[name] == 1 and follower and follower.op_type == op else None

    for erf in graph.node:
        if erf.op_type != "Erf" or erf.domain not in ("", "ai.onnx"):
            continue
        x = _argument(makers.get(erf.input[0]), constants)
        add = only_user(erf, "Add")
        if x is None or add is None or 1.0 not in map(constants.get, add.input):
            continue
        # The product that follows, as long as each of its parts goes nowhere else.
        factors: list[str] = []
        tail: list[Any] = []
        end = add
        while len(factors) < 2 and (mul := only_user(end, "Mul")):
            factors += [name for name in mul.input if name != end.output[0]]
            tail.append(mul)
            end = mul
        half = next((name for name in factors if constants.get(name) == 0.5), None)
        if half is not None and sorted(factors) == sorted([x, half]):
            yield x, half, add, tail


def _argument(node: Any, constants: dict[str, float]) -> str | None:
    """x, where `node` gives x/sqrt(2)."""
    if node is None or node.op_type not in ("Div", "Mul"):
        return None
    a, b = node.input
    if node.op_type == "Mul" and a in constants:
        a, b = b, a
    wanted = _ROOT if node.op_type == "Div" else 1 / _ROOT
    found = constants.get(b)
    return str(a) if found is not None and abs(found - wanted) < 1e-6 else None


def _scalars(graph: Any) -> dict[str, float]:
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            tensors[node.output[0]] = node.attribute[0].t
    sizes = {name: tensor for name, tensor in tensors.items() if set(tensor.dims) <= {1}}
    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in sizes.items()}
    return {
        name: float(array.reshape(())) for name, array in arrays.items() if array.dtype.kind == "f"
    }


REPAIR = Repair(
    name="exact_gelu",
    stage="before onnx2tf",
    about="TFLite's converter knows the exact GELU only as (x*0.5)*(1 + erf(x/sqrt(2))); where exporters "
    "halve at the end, the factors change places, and it becomes one GELU.",
    source="tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td (GELU); "
    "https://arxiv.org/abs/1606.08415",
    applies=applies,
    apply=apply,
)
