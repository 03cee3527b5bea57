"""float16 computation in an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.float16 import Float16
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.constants import lift_constants
from taxiway.optimize.quantize.onnx.written import checked
from taxiway.plugins import Context


class OnnxFloat16(Float16):
    """Weights in other files are converted in a stream, so that a model may be larger than memory."""

    libraries = ("onnxruntime", "onnx")

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST

        from taxiway.optimize.quantize.onnx.halves import can_halve

        proto = _typed(model)
        weights, floats = graphs.constants(proto.graph), graphs.float_values(proto)
        found = [
            graphs.operator(node, weights)
            for node in proto.graph.node
            if node.op_type not in (*DEFAULT_OP_BLOCK_LIST, "Cast", "Constant")
            and any(name in floats for name in node.output)
            and can_halve(node, proto)
        ]
        patterns = (*options.only, *options.exclude, *options.keep)
        graphs.refuse_others(proto.graph, found, patterns, "float16 converts")
        return found

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        import onnx

        from taxiway.optimize.quantize.onnx.halves import into_halves
        from taxiway.optimize.quantize.onnx.kept import in_own_precision

        proto = _typed(model)
        _check(proto, model)
        floats = {name: kind for name, kind in kept.items() if kind != "float16"}
        if not floats:
            return checked(model, _whole(proto, model, context), _half_weights, context)
        # The library would round between two operators that stay float32, too.
        names = {op.name for op in self.operators(model, options)} - set(floats)
        onnx.external_data_helper.load_external_data_for_model(proto, str(model.path.parent))
        lift_constants(proto.graph)
        proto = in_own_precision(into_halves(proto, names), model, floats)
        return checked(model, proto, _half_weights, context)


def _whole(proto: Any, model: Model, context: Context) -> Any:
    """All of the graph and of its bodies in float16, weights in other files in a stream."""
    from onnxruntime.transformers.float16 import convert_float_to_float16, convert_np_to_float16

    from taxiway.model.onnx_file import WEIGHTS
    from taxiway.optimize.quantize.onnx.external import hold_out, put_back

    # With the real shapes: a weight that is held out has none for a while.
    held = hold_out(proto, model.path.parent)
    try:
        proto = convert_float_to_float16(proto, keep_io_types=True, disable_shape_infer=True)
        if held:
            del proto.graph.value_info[:]
            put_back(held, context.workdir / WEIGHTS, convert_np_to_float16)
    except StepError:
        raise
    except Exception as error:
        raise StepError(f"{model.path.name} cannot become float16: {error}") from error
    return proto


def _typed(model: Model) -> Any:
    """The graph without the data of other files, with types, and a name for every node."""
    from taxiway.model.onnx_file import load_graph

    proto = graphs.typed(load_graph(model.path))
    graphs.name_nodes(proto.graph)
    return proto


def _check(proto: Any, model: Model) -> None:
    """Raise StepError for a weight within the file that holds NaN, or Inf and is no mask."""
    from onnx import TensorProto, numpy_helper

    from taxiway.optimize.quantize.finite import check_weight, is_mask

    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not tensor.external_data:
            values = numpy_helper.to_array(tensor)
            if not is_mask(values):
                check_weight(tensor.name, values, model.path.name)


def _half_weights(proto: Any) -> int:
    from onnx import TensorProto

    return sum(
        tensor.data_type == TensorProto.FLOAT16
        for graph in (proto.graph, *graphs.bodies(proto.graph))
        for tensor in (*graph.initializer, *(a.t for n in graph.node for a in n.attribute))
    )
