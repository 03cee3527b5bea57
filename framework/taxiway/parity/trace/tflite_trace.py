"""TFLite: the built-in kernels without a delegate, and any set of operators as a file of its own."""

from __future__ import annotations

import copy
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.inspect import tflite_tensors
from taxiway.model.model import Model
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
_KEPT_INTERPRETERS = 24


class TFLiteTrace:
    """Operators and tensors of the first graph of the file.

    XNNPACK, LiteRT's default delegate, hides the tensors inside what it takes over: here every
    operator runs in its own built-in kernel.
    """

    def __init__(self, model: Model, workdir: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_litert.tools import flatbuffer_utils

        self.model = model
        try:
            content = bytearray(model.path.read_bytes())
            self._file = flatbuffer_utils.read_model_from_bytearray(content)
            inputs, outputs, _ = tflite_tensors(Interpreter(model_path=str(model.path)))
        except Exception as error:
            raise StepError(f"LiteRT cannot read {model.path.name}: {error}") from error
        self._graph = self._file.subgraphs[0]
        self._names = _unique_names(self._graph.tensors)
        self._index = {name: at for at, name in enumerate(self._names)}
        self.inputs = [self._names[inputs[s.name]["index"]] for s in model.signature.inputs]
        self.outputs = [self._names[outputs[s.name]["index"]] for s in model.signature.outputs]
        self.operators = [self._operator(at, op) for at, op in enumerate(self._graph.operators)]
        self._interpreters: OrderedDict[Any, Any] = OrderedDict()

    def _operator(self, at: int, op: Any) -> Operator:
        inputs = [
            index for index in _indices(op.inputs) if not self._graph.tensors[index].isVariable
        ]
        outputs = [self._names[index] for index in _indices(op.outputs)]
        return Operator(
            index=at,
            name=outputs[0] if outputs else f"operator {at}",
            type=_type(self._file.operatorCodes[op.opcodeIndex]),
            inputs=tuple(dict.fromkeys(self._names[index] for index in inputs)),
            outputs=tuple(outputs),
            constants=frozenset(
                self._names[index] for index in inputs if self._data(index) is not None
            ),
            attributes=_numbers(op.builtinOptions),
        )

    def _data(self, index: int) -> Any:
        """The bytes that the file stores for a tensor; None for a computed one."""
        data = self._file.buffers[self._graph.tensors[index].buffer].data
        return data if data is not None and len(data) else None

    def constant(self, name: str) -> Array | None:
        at = self._index[name]
        data, dtype = self._data(at), _dtype(self._graph.tensors[at].type)
        if data is None or dtype is None:
            return None
        shape = self._graph.tensors[at].shape
        array = np.frombuffer(bytes(data), dtype).reshape([] if shape is None else list(shape))
        return self._real(name, array)

    def step(self, name: str) -> Array | float | None:
        found = self._quantization(name)
        if found is None or _dtype(self._tensor(name).type) not in _STEPPED:
            return None
        scale = found[0]
        return float(scale) if scale.size == 1 else scale

    def _tensor(self, name: str) -> Any:
        return self._graph.tensors[self._index[name]]

    def _quantization(self, name: str) -> tuple[Array, Array] | None:
        """Scale and zero point, which broadcast against the tensor."""
        tensor = self._tensor(name)
        quantization, dtype = tensor.quantization, _dtype(tensor.type)
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            return None
        if dtype is None or dtype.kind not in "iu":
            return None
        scale = np.asarray(quantization.scale, np.float32)
        points = quantization.zeroPoint
        zero = np.zeros(scale.shape, np.int64) if points is None else np.asarray(points, np.int64)
        if scale.size == 1:
            return scale.reshape(()), zero.reshape(-1)[:1].reshape(())
        shape = [1] * len(tensor.shape)
        shape[quantization.quantizedDimension] = scale.size
        return scale.reshape(shape), zero.reshape(shape)

    def represent(self, name: str, value: Array) -> Array:
        return self._real(name, self.stored(name, value))

    def stored(self, name: str, value: Array) -> Array:
        dtype = _dtype(self._tensor(name).type)
        found = self._quantization(name)
        if dtype is None:
            return value
        if found is None:
            return np.asarray(value, dtype)
        limits = np.iinfo(dtype)
        steps = np.rint(np.asarray(value, np.float64) / found[0].astype(np.float64)) + found[1]
        return np.asarray(steps.clip(limits.min, limits.max).astype(dtype))

    def _real(self, name: str, value: Array) -> Array:
        found = self._quantization(name)
        if found is None:
            return value
        centred = value.astype(np.float64) - found[1]
        return np.asarray((centred * found[0]).astype(np.float32))

    def values(
        self, feeds: Mapping[str, Array], names: Sequence[str]
    ) -> Iterator[tuple[str, Array]]:
        interpreter = _interpreter(self.model.path.read_bytes(), self.model.path.name, keep=True)
        stored = {self._index[name]: self.stored(name, value) for name, value in feeds.items()}
        self._invoke(interpreter, stored)
        for name in dict.fromkeys(names):
            if _dtype(self._tensor(name).type) is None:
                continue
            try:
                value = interpreter.get_tensor(self._index[name])
            except ValueError:
                # It is no array, or its operator left it out.
                continue
            yield name, self._real(name, np.asarray(value))

    def _invoke(self, interpreter: Any, stored: Mapping[int, Array]) -> None:
        try:
            for index, value in stored.items():
                interpreter.resize_tensor_input(index, value.shape)
            interpreter.allocate_tensors()
            interpreter.reset_all_variables()
            for index, value in stored.items():
                interpreter.set_tensor(index, value)
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise StepError(f"LiteRT fails in {self.model.path.name}: {error}") from error

    def run(
        self, operators: Sequence[Operator], feeds: Mapping[str, Array], outputs: Sequence[str]
    ) -> dict[str, Array]:
        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        changed = any(name in op.constants for op in operators for name in feeds)
        key = (
            tuple(operator.index for operator in operators),
            tuple((name, value.shape) for name, value in stored.items()),
            tuple(outputs),
        )
        interpreter = None if changed else self._interpreters.get(key)
        if interpreter is None:
            content = self._part(operators, stored, outputs)
            interpreter = _interpreter(content, self.model.path.name)
            if not changed:
                self._interpreters[key] = interpreter
                if len(self._interpreters) > _KEPT_INTERPRETERS:
                    self._interpreters.popitem(last=False)
        fed = [name for name in stored if not _constant_in(operators, name)]
        indices = [detail["index"] for detail in interpreter.get_input_details()]
        self._invoke(interpreter, {i: stored[name] for i, name in zip(indices, fed, strict=True)})
        results: dict[str, Array] = {}
        for name, detail in zip(outputs, interpreter.get_output_details(), strict=True):
            try:
                value = np.asarray(interpreter.get_tensor(detail["index"]))
            except ValueError as error:
                raise StepError(f"'{name}' is no array: {error}") from error
            results[name] = self._real(name, value)
        return results

    def _part(
        self, operators: Sequence[Operator], stored: Mapping[str, Array], outputs: Sequence[str]
    ) -> bytes:
        """The file of these operators: what is fed are inputs of it, but for constants, which are
        stored with the values in `stored`."""
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils

        part = schema.ModelT()
        part.version, part.description = 3, b"part"
        nested = any(op.type in _NESTED for op in operators)
        part.operatorCodes = self._file.operatorCodes
        # Other graphs, which a loop or a branch runs, keep their numbers and their buffers.
        part.buffers = list(self._file.buffers) if nested else [schema.BufferT()]
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = b"main", [], []
        part.subgraphs = [graph, *(self._file.subgraphs[1:] if nested else [])]
        placed: dict[int, int] = {}

        def place(index: int) -> int:
            if index < 0 or index in placed:
                return placed.get(index, -1)
            tensor = copy.copy(self._graph.tensors[index])
            name = self._names[index]
            buffer, data = schema.BufferT(), self._data(index)
            if name in stored:
                tensor.shape = np.asarray(stored[name].shape, np.int32)
                tensor.shapeSignature = None
            if data is not None:
                changed = stored.get(name)
                buffer.data = (
                    data if changed is None else np.frombuffer(changed.tobytes(), np.uint8)
                )
            tensor.buffer = len(part.buffers) if buffer.data is not None else 0
            if buffer.data is not None:
                part.buffers.append(buffer)
            placed[index] = len(graph.tensors)
            graph.tensors.append(tensor)
            return placed[index]

        for operator in operators:
            op = copy.copy(self._graph.operators[operator.index])
            op.inputs = np.asarray([place(int(i)) for i in _every(op.inputs)], np.int32)
            op.outputs = np.asarray([place(int(i)) for i in _every(op.outputs)], np.int32)
            op.intermediates = [place(int(i)) for i in _every(op.intermediates)] or None
            graph.operators.append(op)
        fed = [name for name in stored if not _constant_in(operators, name)]
        graph.inputs = np.asarray([place(self._index[name]) for name in fed], np.int32)
        graph.outputs = np.asarray([place(self._index[name]) for name in outputs], np.int32)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(part))

    def extract(
        self,
        operators: Sequence[Operator],
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        path: Path,
    ) -> tuple[dict[str, str], dict[str, str]]:
        stored = {name: self.stored(name, value) for name, value in feeds.items()}
        path.write_bytes(self._part(operators, stored, outputs))
        return {name: name for name in feeds}, {name: name for name in outputs}


_NESTED = {"WHILE", "IF", "CALL_ONCE", "CALL", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"}
_STEPPED = {np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int16)}


def _constant_in(operators: Sequence[Operator], name: str) -> bool:
    return any(name in op.constants for op in operators)


def _interpreter(content: bytes, name: str, keep: bool = False) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        return Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=keep,
        )
    except (RuntimeError, ValueError) as error:
        raise StepError(f"LiteRT cannot load a part of {name}: {error}") from error


def _every(indices: Any) -> list[int]:
    return [] if indices is None else [int(index) for index in indices]


def _indices(indices: Any) -> list[int]:
    """Tensor numbers without those of omitted inputs, which are -1."""
    return [index for index in _every(indices) if index >= 0]


def _unique_names(tensors: Sequence[Any]) -> list[str]:
    """A name for each tensor; one that several have, or none, gets the tensor's number."""
    names = [bytes(tensor.name or b"").decode("utf-8", "replace") for tensor in tensors]
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 else f"{name or 'tensor'}#{at}"
        for at, name in enumerate(names)
    ]


def _type(code: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    if code.customCode:
        return bytes(code.customCode).decode("utf-8", "replace")
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next(
        (name for name, value in vars(schema.BuiltinOperator).items() if value == number),
        f"operator {number}",
    )


def _dtype(number: int) -> np.dtype[Any] | None:
    """The numpy dtype of a tensor type of the schema; None for text, handles and packed integers."""
    from ai_edge_litert import schema_py_generated as schema

    names = {
        "FLOAT32": "f4", "FLOAT16": "f2", "FLOAT64": "f8", "INT8": "i1", "INT16": "i2",
        "INT32": "i4", "INT64": "i8", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4",
        "UINT64": "u8", "BOOL": "?", "COMPLEX64": "c8", "COMPLEX128": "c16",
    }  # fmt: skip
    for name, dtype in names.items():
        if getattr(schema.TensorType, name) == number:
            return np.dtype(dtype)
    return None


def _numbers(options: Any) -> tuple[float, ...]:
    values = vars(options).values() if options is not None else ()
    return tuple(value for value in values if isinstance(value, float))
