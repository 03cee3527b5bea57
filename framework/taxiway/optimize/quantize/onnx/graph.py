"""An ONNX model ready to be quantized, and the operators in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator

OPSET = 13
"""The first with scales per channel in QuantizeLinear (https://onnx.ai/onnx/operators)."""
QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "MatMulNBits",
)


def prepared(model: Model) -> Any:
    """The onnx.ModelProto with shapes inferred, constants and batch normalization folded, opset 13
    or higher, and a name for every node.

    A node that a fusion made gets the name of the node that it stands for, where that is gone.
    Raises StepError where the model is quantized already, or where ONNX Runtime cannot load it.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from taxiway.model.onnx_file import MAX_INLINE, write_graph

    float_graph(model)
    proto = at_least(onnx.load(model.path), OPSET, model)
    name_nodes(proto.graph)
    names = [node.name for node in proto.graph.node]
    with TemporaryDirectory() as folder:
        path = write_graph(proto, Path(folder) / "named.onnx")
        result = path.with_name("prepared.onnx")
        try:
            quant_pre_process(
                str(path),
                str(result),
                # Symbolic inference needs sympy and adds nothing to the graphs Taxiway writes.
                skip_symbolic_shape=True,
                save_as_external_data=model.size > MAX_INLINE,
            )
            proto = onnx.load(result)
        except Exception as error:
            raise StepError(f"ONNX Runtime cannot prepare {model.path.name}: {error}") from error
    name_nodes(proto.graph, known=names)
    _drop_unused_domains(proto)
    return proto


def at_least(proto: Any, opset: int, model: Model) -> Any:
    """The graph in `opset` where it is in an older one. Raises StepError where onnx cannot raise it."""
    import onnx

    found = opset_of(proto)
    if found >= opset:
        return proto
    try:
        return onnx.version_converter.convert_version(proto, opset)
    except Exception as error:
        raise StepError(
            f"{model.path.name} has opset {found}; this needs {opset}, and onnx cannot raise it: "
            f"{error}",
            f"convert=onnx convert.opset={opset}",
        ) from error


def float_graph(model: Model) -> Any:
    """The onnx.ModelProto without the data of other files. Raises StepError where it is quantized."""
    from taxiway.model.onnx_file import load_graph

    proto = load_graph(model.path)
    if count_ops(*QUANTIZED)(proto) or integer_weights(proto):
        raise StepError(
            f"{model.path.name} is quantized already", "drop the pass, or start from a float model"
        )
    return proto


def opset_of(proto: Any) -> int:
    """The version of the standard operators; a model that has none has the newest."""
    import onnx

    versions = [e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")]
    return int(max(versions, default=onnx.defs.onnx_opset_version()))


def typed(proto: Any) -> Any:
    """The graph with the types and shapes of its values, as far as onnx finds them."""
    import onnx

    return onnx.shape_inference.infer_shapes(proto)


def name_nodes(graph: Any, known: Sequence[str] = ()) -> None:
    """Give every node of `graph` (a GraphProto) a name of its own: `Type_index` where it has none.

    known: names of the graph before fusions: `x/MatMulAddFusion` becomes `x` again.
    """
    present = Counter(node.name for node in graph.node)
    for node in graph.node:
        stem = max((n for n in known if n and node.name.startswith(n + "/")), key=len, default="")
        if stem and node.name not in known and not present[stem]:
            present[stem], node.name = 1, stem
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken or (name != node.name and present[name]):
            name += "_"
        node.name = name
        taken.add(name)


def constants(graph: Any) -> dict[str, Any]:
    """The initializers of `graph` by name, but those that are an input, too: a caller may change
    them (onnx.proto, `GraphProto.initializer`)."""
    inputs = {value.name for value in graph.input}
    return {tensor.name: tensor for tensor in graph.initializer if tensor.name not in inputs}


def operator(node: Any, weights: Mapping[str, Any]) -> Operator:
    """A node of a graph as an operator; `weights` are the graph's constants."""
    held = {name: weights[name] for name in node.input if name in weights}
    return Operator(node.name, node.op_type, sum(map(size_of, held.values())))


def size_of(tensor: Any) -> int:
    """Bytes of a TensorProto's elements, wherever they are."""
    import math

    from onnx import helper

    width: int = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    count: int = math.prod(tensor.dims)
    return count * width


def float_values(proto: Any) -> dict[str, int]:
    """Values of the main graph that are float32 or float16 tensors -> their rank; -1: not known."""
    from onnx import TensorProto

    found = {}
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        tensor = value.type.tensor_type
        if tensor.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
            found[value.name] = len(tensor.shape.dim) if tensor.HasField("shape") else -1
    return found


def refuse_others(
    graph: Any, operators: Sequence[Operator], patterns: Iterable[str], what: str
) -> None:
    """Raise StepError for a pattern that means only nodes of `graph` that are not in `operators`.

    what: what is asked of them, such as `quantize_dynamic quantizes`.
    """
    from taxiway.optimize.operators import matching

    every = [Operator(node.name, node.op_type) for node in graph.node]
    taken = {op.name for op in operators}
    for pattern in patterns:
        found = matching(every, pattern) if every else []
        if found and taken.isdisjoint(found):
            types = sorted({op.type for op in every if op.name in found})
            able = sorted({op.type for op in operators})
            raise StepError(
                f"{what} no {', '.join(types)}, and '{pattern}' means only "
                f"{', '.join(found[:5])}{' ...' if len(found) > 5 else ''}",
                f"it works on {', '.join(able)} here" if able else "drop the pass",
            )


def count_ops(*ops: str) -> Callable[[Any], int]:
    """Counts the nodes of a ModelProto whose operator is among `ops`."""
    return lambda proto: sum(node.op_type in ops for node in proto.graph.node)


def check_constants(graph: Any, nodes: Iterable[Any], model: Model) -> None:
    """Raise StepError where a float constant of one of `nodes` holds NaN or Inf."""
    from onnx import TensorProto, numpy_helper

    from taxiway.optimize.quantize.finite import check_weight

    weights = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    for node in nodes:
        for name in node.input:
            if name in weights:
                values = numpy_helper.to_array(weights[name], str(model.path.parent))
                check_weight(name, values, model.path.name, node.name)


def integer_weights(proto: Any) -> int:
    """How many matrices of 8- or 4-bit integers a ModelProto holds."""
    from onnx import TensorProto as T

    small = (T.INT8, T.UINT8, T.INT4, T.UINT4)
    return sum(t.data_type in small and len(t.dims) > 1 for t in proto.graph.initializer)


def captured(graph: Any) -> set[str]:
    """Names of outer values that bodies of If, Loop and Scan in `graph` may read."""
    return captured_by(graph.node)


def captured_by(nodes: Iterable[Any]) -> set[str]:
    """The same for some nodes."""
    return {name for body in _within(nodes) for node in body.node for name in node.input}


def bodies(graph: Any) -> Iterator[Any]:
    """The graphs within the nodes of `graph`, at any depth."""
    return _within(graph.node)


def _within(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                if body.node:
                    yield body
                    yield from _within(body.node)


def _drop_unused_domains(proto: Any) -> None:
    """ONNX Runtime's optimizer declares every operator set that it knows."""
    used = {node.domain for graph in (proto.graph, *bodies(proto.graph)) for node in graph.node}
    kept = [entry for entry in proto.opset_import if not entry.domain or entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
