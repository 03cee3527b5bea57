"""ONNX: every intermediate tensor as a graph output, any set of nodes as a model of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.model import Model
from taxiway.parity.trace import Operator
from taxiway.parity.trace.onnx_scales import Affine, scales_of

Array = np.ndarray[Any, Any]
MAX_FETCHED = 256 * 2**20
"""Bytes of intermediate tensors that one call of the runtime may give."""
_FIRST_FETCH = 8
_KEPT_SESSIONS = 24


class OnnxTrace:
    """ONNX Runtime without graph optimizations, so that no tensor is fused away."""

    def __init__(self, model: Model) -> None:
        import onnx

        self.model = model
        try:
            self._proto = onnx.load(str(model.path), load_external_data=False)
        except Exception as error:
            raise StepError(f"{model.path.name} is no readable ONNX model: {error}") from error
        graph = self._proto.graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._cached: dict[str, Array] = {}
        self._scales: dict[str, Affine] = {}
        for node in graph.node:
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                self._cached[node.output[0]] = _constant_value(node)
        self.inputs = [spec.name for spec in model.signature.inputs]
        self.outputs = [spec.name for spec in model.signature.outputs]
        self._nodes = list(graph.node)
        constants = {*self._tensors, *self._cached}
        self.operators = [
            _operator(at, node, constants)
            for at, node in enumerate(self._nodes)
            if node.output and node.output[0] not in self._cached
        ]
        self._dtypes = {
            value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            for value in [*graph.input, *graph.output, *graph.value_info]
            if value.type.tensor_type.elem_type
        }
        self._dtypes |= {
            name: onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            for name, tensor in self._tensors.items()
        }
        self._scales = scales_of(self._nodes, self.constant)
        self._sessions: OrderedDict[Any, Any] = OrderedDict()

    def constant(self, name: str) -> Array | None:
        if name in self._cached:
            return self._cached[name]
        if name not in self._tensors:
            return None
        return self._real(name, self._array(self._tensors[name]))

    def _array(self, tensor: Any) -> Array:
        import onnx

        array: Array = onnx.numpy_helper.to_array(tensor, base_dir=str(self.model.path.parent))
        return array

    def step(self, name: str) -> Array | float | None:
        affine = self._scales.get(name)
        if affine is not None:
            return affine.scale
        # Quantized, and its scale is computed: its steps are the integers.
        dtype = self._dtypes.get(name)
        return 1.0 if dtype in (np.dtype(np.int8), np.dtype(np.uint8)) else None

    def represent(self, name: str, value: Array) -> Array:
        return self._real(name, self.stored(name, value))

    def stored(self, name: str, value: Array) -> Array:
        affine = self._scales.get(name)
        if affine is not None:
            return affine.store(value)
        return np.asarray(value, self._dtypes.get(name, value.dtype))

    def _real(self, name: str, value: Array) -> Array:
        affine = self._scales.get(name)
        return value if affine is None else affine.restore(value)

    def values(
        self, feeds: Mapping[str, Array], names: Sequence[str]
    ) -> Iterator[tuple[str, Array]]:
        import onnx

        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        present = {value.name for value in proto.graph.output}
        fetched = list(dict.fromkeys(name for name in names if name not in feeds))
        proto.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in fetched if name not in present
        )
        session = self._session(proto)
        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        yield from ((name, value) for name, value in feeds.items() if name in names)
        count = _FIRST_FETCH
        while fetched:
            chunk, fetched = fetched[:count], fetched[count:]
            results = self._invoke(session, chunk, stored)
            # The next ones may be as large as the largest of these.
            largest = max((getattr(result, "nbytes", 0) for result in results), default=0)
            count = min(max(1, MAX_FETCHED // max(largest, 1)), 4 * count)
            for name, result in zip(chunk, results, strict=True):
                if isinstance(result, np.ndarray | np.generic):
                    array = np.asarray(result)
                    self._dtypes[name] = array.dtype
                    yield name, self._real(name, array)

    def _session(self, proto: Any) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(self.model.path.parent)
        )
        try:
            return onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise StepError(
                f"ONNX Runtime cannot load a part of {self.model.path.name}: {error}"
            ) from error

    def _invoke(
        self, session: Any, names: Sequence[str], stored: Mapping[str, Array]
    ) -> Sequence[Any]:
        try:
            return list(session.run(list(names), dict(stored)))
        except Exception as error:
            raise StepError(f"ONNX Runtime fails in {self.model.path.name}: {error}") from error

    def run(
        self, operators: Sequence[Operator], feeds: Mapping[str, Array], outputs: Sequence[str]
    ) -> dict[str, Array]:
        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        key = (
            tuple(operator.index for operator in operators),
            tuple((name, value.dtype, value.ndim) for name, value in stored.items()),
            tuple(outputs),
        )
        if key not in self._sessions:
            self._sessions[key] = self._session(self.submodel(operators, stored, outputs))
            if len(self._sessions) > _KEPT_SESSIONS:
                self._sessions.popitem(last=False)
        results = self._invoke(self._sessions[key], outputs, stored)
        values: dict[str, Array] = {}
        for name, result in zip(outputs, results, strict=True):
            if not isinstance(result, np.ndarray | np.generic):
                raise StepError(f"'{name}' is a sequence or an optional, no tensor")
            array = np.asarray(result)
            self._dtypes.setdefault(name, array.dtype)
            values[name] = self._real(name, array)
        return values

    def submodel(
        self, operators: Sequence[Operator], stored: Mapping[str, Array], outputs: Sequence[str]
    ) -> Any:
        """A ModelProto of these nodes; what they take beside `stored` are initializers in it."""
        import onnx

        model = onnx.ModelProto()
        model.ir_version = self._proto.ir_version
        model.opset_import.extend(self._proto.opset_import)
        model.functions.extend(self._proto.functions)
        graph = model.graph
        graph.name = "part"
        nodes = [self._nodes[operator.index] for operator in operators]
        graph.node.extend(nodes)
        made = {name for node in nodes for name in node.output}
        for name, value in stored.items():
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
            graph.input.append(onnx.helper.make_tensor_value_info(name, kind, [None] * value.ndim))
        needed = dict.fromkeys(name for node in nodes for name in taken(node))
        for name in needed:
            if name in stored or name in made:
                continue
            if name in self._tensors:
                tensor = graph.initializer.add()
                tensor.CopyFrom(self._tensors[name])
                if tensor.data_location == onnx.TensorProto.EXTERNAL:
                    onnx.external_data_helper.load_external_data_for_tensor(
                        tensor, str(self.model.path.parent)
                    )
                    tensor.data_location = onnx.TensorProto.DEFAULT
                    del tensor.external_data[:]
            elif name in self._cached:
                graph.initializer.append(onnx.numpy_helper.from_array(self._cached[name], name))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        return model

    def extract(
        self,
        operators: Sequence[Operator],
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        path: Path,
    ) -> tuple[dict[str, str], dict[str, str]]:
        import onnx

        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        model = self.submodel(operators, stored, outputs)
        del model.graph.output[:]
        for name in outputs:
            kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self._dtypes[name]))
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
        onnx.save(model, str(path))
        return {name: name for name in feeds}, {name: name for name in outputs}


def _constant_value(node: Any) -> Array:
    import onnx

    attribute = node.attribute[0]
    if attribute.name == "value":
        array: Array = onnx.numpy_helper.to_array(attribute.t)
        return array
    if attribute.name == "sparse_value":
        raise StepError(f"the constant '{node.output[0]}' is sparse, which cannot be traced")
    value = onnx.helper.get_attribute_value(attribute)
    # value_float, value_floats, value_int, value_ints, value_string, value_strings
    kinds: dict[str, Any] = {"f": np.float32, "i": np.int64, "s": object}
    dtype = kinds[attribute.name.removeprefix("value_")[0]]
    return np.asarray(value, dtype)


def _operator(index: int, node: Any, constants: Iterable[str]) -> Operator:
    import onnx

    inputs = tuple(taken(node))
    numbers: list[float] = []
    for attribute in node.attribute:
        if attribute.type in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS):
            value = onnx.helper.get_attribute_value(attribute)
            numbers += value if isinstance(value, list | tuple) else [value]
    return Operator(
        index=index,
        name=node.name or node.output[0],
        type=node.op_type,
        inputs=inputs,
        outputs=tuple(name for name in node.output if name),
        constants=frozenset(constants) & frozenset(inputs),
        attributes=tuple(map(float, numbers)),
    )


def taken(node: Any) -> Iterator[str]:
    """Names of the tensors that a node takes, those that its subgraphs capture too, each once."""
    seen: set[str] = set()
    for name in _taken(node):
        if name and name not in seen:
            seen.add(name)
            yield name


def _taken(node: Any) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            own = {value.name for value in [*graph.input, *graph.initializer]}
            for inner in graph.node:
                yield from (name for name in _taken(inner) if name not in own)
                own |= set(inner.output)
            # A subgraph may give a tensor of the outer graph as it is.
            yield from (value.name for value in graph.output if value.name not in own)
