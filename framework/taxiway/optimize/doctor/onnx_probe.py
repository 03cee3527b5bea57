"""An ONNX model that gives the extremes of its tensors instead of the tensors, so that none is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.onnx_graph import subgraphs

Array = np.ndarray[Any, Any]


class OnnxProbe:
    """ONNX Runtime over a copy of the graph with two more outputs per tensor of real numbers.

    tensors: those that depend on the inputs, in graph order; tensors inside control flow are left out.
    """

    def __init__(self, model: Model) -> None:
        import onnx

        from taxiway.model.onnx_file import load_graph

        self._model = model
        self._proto = load_graph(model.path)
        try:
            inferred = onnx.shape_inference.infer_shapes(self._proto)
        except Exception:
            inferred = self._proto
        self._types = {
            value.name: value.type.tensor_type.elem_type
            for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
        }
        self.tensors = tuple(self._real_tensors())
        outputs = model.signature.outputs
        self._ends = [spec.name for spec in outputs if spec.dtype.startswith("float")]
        self._session = self._open([_extremes(name, self._types[name]) for name in self.tensors])

    def _real_tensors(self) -> list[str]:
        from onnx import TensorProto

        graph, real = (
            self._proto.graph,
            (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE),
        )
        constants = {tensor.name for tensor in graph.initializer}
        alive = {value.name for value in graph.input} - constants
        found = [value.name for value in graph.input if value.name in alive]
        for node in graph.node:
            reads = {*node.input, *(name for child in subgraphs(node) for name in _inside(child))}
            if alive & reads:
                alive.update(name for name in node.output if name)
                found += [name for name in node.output if name]
        return [name for name in found if self._types.get(name) in real]

    def _open(self, parts: Sequence[tuple[list[Any], list[str]]]) -> Any:
        """A session whose outputs are those of `parts`, each a list of nodes and of their outputs."""
        import onnx
        import onnxruntime

        from taxiway.model.runners.onnx_runner import session_options

        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for nodes, outputs in parts:
            proto.graph.node.extend(nodes)
            proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        options = session_options(1)
        options.log_severity_level = 4
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(self._model.path.parent)
        )
        try:
            return onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise StepError(
                f"ONNX Runtime cannot run {self._model.path.name} on the samples: {error}"
            ) from error

    def extremes(self, feed: Mapping[str, Array]) -> tuple[Array, Array, bool]:
        """The smallest and the largest value of every tensor on one batch, and whether the model's
        outputs are numbers: a reduction may pass over NaN."""
        names = [f"{name}__{kind}" for name in self.tensors for kind in ("low", "high")]
        results = self._run(self._session, [*names, *self._ends], feed)
        values = np.array(results[: len(names)], np.float64).reshape(-1, 2)
        ends = [np.asarray(value, np.float64) for value in results[len(names) :]]
        numbers = not any(np.isnan(value).any() for value in (*ends, values))
        return values[:, 0], values[:, 1], numbers

    def outside(self, feeds: Any, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        """Tensor -> share of its values on all feeds that lie outside its range."""
        session = self._open([_outside(n, self._types[n], *bounds) for n, bounds in ranges.items()])
        names = [f"{name}__outside" for name in ranges]
        total, weight = np.zeros(len(ranges)), 0
        for samples, feed in feeds:
            total += samples * np.array(self._run(session, names, feed), np.float64).ravel()
            weight += samples
        return dict(zip(ranges, (total / max(weight, 1)).tolist(), strict=True))

    def broken(self, feed: Mapping[str, Array]) -> str | None:
        """The first tensor of graph order with NaN on this batch."""
        graph = self._proto.graph
        present = {value.name for value in (*graph.input, *graph.output)}
        session = self._open([([], [name for name in self.tensors if name not in present])])
        for name in self.tensors:
            if name in feed:
                continue
            (value,) = self._run(session, [name], feed)
            if np.isnan(np.asarray(value, np.float64)).any():
                return name
        return None

    def _run(self, session: Any, names: Sequence[str], feed: Mapping[str, Array]) -> list[Any]:
        try:
            return list(session.run(list(names), dict(feed)))
        except Exception as error:
            raise StepError(f"{self._model.path.name} fails on the samples: {error}") from error


def _inside(graph: Any) -> list[str]:
    names = [name for node in graph.node for name in node.input]
    return names + [
        name for node in graph.node for child in subgraphs(node) for name in _inside(child)
    ]


def _as_float(name: str, kind: int) -> tuple[list[Any], str]:
    """Nodes that give the tensor as float32, for no other type has all reductions on a CPU."""
    from onnx import TensorProto, helper

    if kind == TensorProto.FLOAT:
        return [], name
    cast = f"{name}__float"
    return [helper.make_node("Cast", [name], [cast], to=TensorProto.FLOAT)], cast


def _extremes(name: str, kind: int) -> tuple[list[Any], list[str]]:
    from onnx import helper

    nodes, real = _as_float(name, kind)
    outputs = [f"{name}__low", f"{name}__high"]
    for op, output in zip(("ReduceMin", "ReduceMax"), outputs, strict=True):
        nodes.append(helper.make_node(op, [real], [output], keepdims=0))
    return nodes, outputs


def _outside(name: str, kind: int, low: float, high: float) -> tuple[list[Any], list[str]]:
    from onnx import TensorProto, helper

    nodes, real = _as_float(name, kind)
    for side, value in (("floor", low), ("ceiling", high)):
        tensor = helper.make_tensor(f"{name}__{side}", TensorProto.FLOAT, [], [value])
        nodes.append(helper.make_node("Constant", [], [f"{name}__{side}"], value=tensor))
    nodes += [
        helper.make_node("Less", [real, f"{name}__floor"], [f"{name}__below"]),
        helper.make_node("Greater", [real, f"{name}__ceiling"], [f"{name}__above"]),
        helper.make_node("Or", [f"{name}__below", f"{name}__above"], [f"{name}__either"]),
        helper.make_node("Cast", [f"{name}__either"], [f"{name}__one"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", [f"{name}__one"], [f"{name}__outside"], keepdims=0),
    ]
    return nodes, [f"{name}__outside"]
