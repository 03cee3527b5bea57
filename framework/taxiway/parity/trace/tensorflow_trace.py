"""SavedModel and Keras: the serving function frozen to a graph, of which any part can be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.load_keras import load_keras
from taxiway.model.load_saved_model import load_saved_model
from taxiway.model.model import Model
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
MAX_FETCHED = 256 * 2**20
"""Bytes of intermediate tensors that one call of the session may give."""
_FIRST_FETCH = 8
_NO_OPERATORS = {"Placeholder", "PlaceholderWithDefault", "Const", "NoOp"}


class TensorFlowTrace:
    """A session over the frozen graph, without the graph rewriter, which fuses operators.

    A session takes a value for any tensor and runs what is needed for the ones asked for.
    """

    def __init__(self, model: Model) -> None:
        import tensorflow as tf

        self.model = model
        frozen, inputs, outputs = _frozen(model)
        self._def = frozen.graph.as_graph_def()
        self._tf_graph = tf.Graph()
        with self._tf_graph.as_default():
            tf.import_graph_def(self._def, name="")
        self._nodes = {node.name: node for node in self._def.node}
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.compat.v1.Session(graph=self._tf_graph, config=config)
        self.inputs, self.outputs = inputs, outputs
        self._constants = self._find_constants()
        self.operators = [
            self._operator(at, op)
            for at, op in enumerate(_in_order(self._tf_graph.get_operations()))
            if op.type not in _NO_OPERATORS
            and op.outputs
            and op.outputs[0].name not in self._constants
        ]

    def _find_constants(self) -> dict[str, str]:
        """The Const that each constant tensor comes from, an Identity of one included."""
        found: dict[str, str] = {}
        for op in _in_order(self._tf_graph.get_operations()):
            if op.type == "Const":
                found[op.outputs[0].name] = op.name
            elif op.type in ("Identity", "ReadVariableOp") and op.inputs[0].name in found:
                found[op.outputs[0].name] = found[op.inputs[0].name]
        return found

    def _operator(self, at: int, op: Any) -> Operator:
        inputs = tuple(dict.fromkeys(tensor.name for tensor in op.inputs))
        attributes = self._nodes[op.name].attr
        return Operator(
            index=at,
            name=op.name,
            type=op.type,
            inputs=inputs,
            outputs=tuple(tensor.name for tensor in op.outputs),
            constants=frozenset(name for name in inputs if name in self._constants),
            attributes=tuple(
                float(a.f) for a in attributes.values() if a.WhichOneof("value") == "f"
            ),
        )

    def constant(self, name: str) -> Array | None:
        import tensorflow as tf

        if name not in self._constants:
            return None
        array: Array = tf.make_ndarray(self._nodes[self._constants[name]].attr["value"].tensor)
        return array

    def step(self, name: str) -> Array | float | None:
        return None

    def stored(self, name: str, value: Array) -> Array:
        dtype = self._tf_graph.get_tensor_by_name(name).dtype
        return np.asarray(value, object if dtype.name == "string" else dtype.as_numpy_dtype)

    def represent(self, name: str, value: Array) -> Array:
        return self.stored(name, value)

    def values(
        self, feeds: Mapping[str, Array], names: Sequence[str]
    ) -> Iterator[tuple[str, Array]]:
        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        yield from ((name, value) for name, value in stored.items() if name in names)
        left = [
            name
            for name in dict.fromkeys(names)
            if name not in feeds
            and self._tf_graph.get_tensor_by_name(name).dtype.name not in ("resource", "variant")
        ]
        count = _FIRST_FETCH
        while left:
            chunk, left = left[:count], left[count:]
            results = self._fetch(chunk, stored)
            largest = max((result.nbytes for result in results), default=0)
            count = min(max(1, MAX_FETCHED // max(largest, 1)), 4 * count)
            yield from zip(chunk, results, strict=True)

    def _fetch(self, names: Sequence[str], stored: Mapping[str, Array]) -> list[Array]:
        try:
            return [np.asarray(v) for v in self._session.run(list(names), dict(stored))]
        except Exception as error:
            message = str(error).split("\n", 1)[0]
            raise StepError(f"TensorFlow fails in {self.model.path.name}: {message}") from error

    def run(
        self, operators: Sequence[Operator], feeds: Mapping[str, Array], outputs: Sequence[str]
    ) -> dict[str, Array]:
        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        return dict(zip(outputs, self._fetch(list(outputs), stored), strict=True))

    def extract(
        self,
        operators: Sequence[Operator],
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        path: Path,
    ) -> tuple[dict[str, str], dict[str, str]]:
        import tensorflow as tf

        part = tf.compat.v1.GraphDef()
        part.versions.CopyFrom(self._def.versions)
        part.library.CopyFrom(self._def.library)
        renamed = {name: f"input_{at}" for at, name in enumerate(feeds)}
        for name, new in renamed.items():
            node = part.node.add(name=new, op="Placeholder")
            dtype = self._tf_graph.get_tensor_by_name(name).dtype
            node.attr["dtype"].type = dtype.as_datatype_enum
        added = set()
        waiting = [operator.name for operator in operators]
        while waiting:
            current = waiting.pop()
            if current in added:
                continue
            added.add(current)
            node = part.node.add()
            node.CopyFrom(self._nodes[current])
            del node.input[:]
            for given in self._nodes[current].input:
                if given.startswith("^"):
                    continue
                tensor = given if ":" in given else f"{given}:0"
                if tensor in renamed:
                    node.input.append(renamed[tensor])
                else:
                    node.input.append(given)
                    waiting.append(tensor.rsplit(":", 1)[0])
        path.write_bytes(part.SerializeToString())
        return {name: f"{new}:0" for name, new in renamed.items()}, {n: n for n in outputs}


def _frozen(model: Model) -> tuple[Any, list[str], list[str]]:
    """The serving function with its variables as constants, and the names of the tensors of its
    inputs and outputs, in the order of the signature."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    if model.format == "keras":
        from taxiway.model.runners.tensorflow_runner import traced

        network = load_keras(model.path, model.trusted)
        function = traced(network, model.signature).get_concrete_function()
        keys_in: list[str] | None = None
        keys_out = [spec.name for spec in model.signature.outputs]
    else:
        serving = load_saved_model(model.path)
        function = serving.function
        keys_in = sorted(serving.inputs)
        keys_out = sorted(serving.outputs)
    try:
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:
        raise StepError(f"TensorFlow cannot freeze {model.path.name}: {error}") from error
    tensors = [tensor.name for tensor in frozen.inputs]
    if keys_in is None:
        inputs = tensors
    else:
        by_name = {name.rsplit(":", 1)[0]: name for name in tensors}
        by_order = dict(zip(keys_in, tensors, strict=True))
        inputs = [by_name.get(s.name, by_order[s.name]) for s in model.signature.inputs]
    by_key = dict(zip(keys_out, (tensor.name for tensor in frozen.outputs), strict=True))
    return frozen, inputs, [by_key[spec.name] for spec in model.signature.outputs]


def _in_order(operations: Sequence[Any]) -> list[Any]:
    """Operations, each after those that it takes tensors from."""
    ordered: list[Any] = []
    state: dict[str, bool] = {}
    for root in operations:
        stack = [root]
        while stack:
            op = stack[-1]
            if state.get(op.name):
                stack.pop()
                continue
            before = [t.op for t in op.inputs if t.op.name not in state]
            if op.name in state or not before:
                state[op.name] = True
                ordered.append(op)
                stack.pop()
            else:
                state[op.name] = False
                stack.extend(before)
    return ordered
