"""An operator without a TFLite builtin becomes a call of a function that is made of builtins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxiway.convert.compositions import COMPOSITIONS
from taxiway.convert.repairs.repair import Repair

_FLOAT = 1
"""DT_FLOAT of tensorflow/core/framework/types.proto."""
_PREFIX = "taxiway_composed_"


def applies(proto: Any) -> int:
    return sum(1 for _ in _nodes(proto))


def apply(proto: Any) -> int:
    """On a SavedModel's proto."""
    found = list(_nodes(proto))
    for graph, function, node in found:
        name = f"{_PREFIX}{node.op}"
        if name not in {other.signature.name for other in graph.library.function}:
            graph.library.function.append(_function(node.op, name))
        if function is not None:
            _rename_output(function, node.name)
        node.op = "PartitionedCall"
        node.attr.clear()
        node.attr["Tin"].list.type.append(_FLOAT)
        node.attr["Tout"].list.type.append(_FLOAT)
        node.attr["f"].func.name = name
    return len(found)


def _nodes(proto: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Graph, function or None, and node."""
    for meta in proto.meta_graphs:
        graph = meta.graph_def
        for function, nodes in (
            (None, graph.node),
            *((function, function.node_def) for function in graph.library.function),
        ):
            for node in nodes:
                if node.op in COMPOSITIONS and node.attr["T"].type == _FLOAT:
                    yield graph, function, node


def _function(op: str, name: str) -> Any:
    import tensorflow as tf

    traced = tf.function(COMPOSITIONS[op], autograph=False).get_concrete_function(
        tf.TensorSpec(None, tf.float32, "x")
    )
    definition = traced.function_def
    copy = type(definition)()
    copy.CopyFrom(definition)
    copy.signature.name = name
    return copy


def _rename_output(function: Any, name: str) -> None:
    """In a function, what a node gives is called by the operator's own name for it
    (tensorflow/core/framework/function.proto, FunctionDef.node_def)."""
    old, new = f"{name}:y:0", f"{name}:output:0"
    for node in function.node_def:
        node.input[:] = [new if value == old else value for value in node.input]
    for output, value in function.ret.items():
        if value == old:
            function.ret[output] = new


def rewritten(source: Path, target: Path, note: Any) -> bool:
    """Write the SavedModel at `source` with its repairs to `target`, which refers to its weights; False,
    and nothing, where there is none to make."""
    from tensorflow.core.protobuf import saved_model_pb2

    from taxiway.convert.repairs.registry import apply_repairs

    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((source / "saved_model.pb").read_bytes())
    if not applies(proto):
        return False
    apply_repairs(proto, "before the TFLite converter", note)
    target.mkdir()
    for folder in ("variables", "assets"):
        if (source / folder).is_dir():
            (target / folder).symlink_to((source / folder).resolve(), target_is_directory=True)
    (target / "saved_model.pb").write_bytes(proto.SerializeToString(deterministic=True))
    return True


REPAIR = Repair(
    name="compose",
    stage="before the TFLite converter",
    about="TFLite has no builtin for Erf, Erfc, Tan, Sinh, Cosh and the inverses of these and of Sin and "
    "Cos; in float32 they become what it has, to a few units in the last place.",
    source="https://ai.google.dev/edge/litert/models/op_select_allowlist lists them as Flex operators; "
    "method and coefficients: taxiway/convert/compositions.py",
    applies=applies,
    apply=apply,
)
