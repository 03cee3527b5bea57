"""Blocks of a dense layer's weights that share a scale, in operators that every TFLite runtime has.

LiteRT 2.3 reads TFLite's own blockwise parameters only in XNNPACK's dynamic 4-bit kernel: before a
DEQUANTIZE 8-bit ones end the process, and 4-bit ones give other values. So the blocks become rows of a
matrix, which is read, multiplied by a column of scales, and brought back to the layer's shape.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from taxiway.optimize.quantize.tflite.graph import FloatGraph

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DENSE = "FULLY_CONNECTED"
DEQUANTIZE_INT4 = 6
"""The version of DEQUANTIZE that reads 4 bits (tensorflow/lite/tools/versioning/op_version.cc)."""


class Blocks(NamedTuple):
    """A weight as integers -(2^(bits-1) - 1)..2^(bits-1) - 1, [blocks, block], and their scales, [blocks, 1]."""

    integers: Array
    scales: Array


def in_blocks(values: Array, block: int, bits: int) -> Blocks:
    """`values` [out, in], float32, in blocks of `block` neighbours along the input axis, symmetric.

    in must be a multiple of `block`. A block of zeros has the scale 1.
    """
    import numpy as np

    rows = values.reshape(-1, block)
    highest = 2 ** (bits - 1) - 1
    scales = (np.abs(rows).max(1, keepdims=True) / highest).astype(np.float32)
    scales[scales == 0] = 1
    integers = np.rint(rows / scales).clip(-highest, highest).astype(np.int8)
    return Blocks(integers, scales)


def packed(integers: Array, bits: int) -> Array:
    """As TFLite stores them: a byte each, or two in a byte, the first in its low half."""
    import numpy as np

    flat = integers.reshape(-1)
    if bits == 8:
        return flat.view(np.uint8)
    flat = np.append(flat, np.zeros(len(flat) % 2, np.int8)).view(np.uint8) & 15
    return np.asarray(flat[0::2] | flat[1::2] << 4)


def dense_weights(graph: FloatGraph, block: int, kept: Container[str] = ()) -> dict[str, str]:
    """Operator name -> name of its weight, for the dense layers that blocks of this size fit.

    A weight that another kind of operator reads, too, or one in `kept`, is none of them.
    """
    tensors = graph.parsed.subgraphs[graph.index].tensors
    others = {
        index
        for scoped in (*graph.operators, *graph.others)
        if scoped.operator.type != DENSE or scoped.operator.name in kept
        for index in scoped.constants
    }
    found = {}
    for scoped in graph.operators:
        if scoped.operator.type == DENSE and scoped.weighted:
            weight = scoped.constants[0]
            shape = tensors[weight].shape
            if weight not in others and len(shape) == 2 and shape[1] % block == 0:
                found[scoped.operator.name] = graph.name(weight)
    return found


def store_in_blocks(
    content: bytes, index: int, weights: Iterable[str], block: int, bits: int
) -> bytes:
    """The model `content` with the float32 constants called `weights` of its subgraph `index` in blocks."""
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    writer = _Writer(parsed, parsed.subgraphs[index])
    for name in sorted(set(weights)):
        writer.replace(name.encode(), block, bits)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))


class _Writer:
    def __init__(self, parsed: Any, graph: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._parsed, self._graph, self._schema = parsed, graph, schema

    def replace(self, name: bytes, block: int, bits: int) -> None:
        import numpy as np

        kinds = self._schema.TensorType
        at = next(i for i, tensor in enumerate(self._graph.tensors) if tensor.name == name)
        weight = self._graph.tensors[at]
        shape = np.asarray(weight.shape, np.int32)
        stored = np.asarray(self._parsed.buffers[weight.buffer].data, np.uint8).view("<f4")
        integers, scales = in_blocks(stored.reshape(shape), block, bits)
        quantized = self._tensor(name + b"/integers", integers.shape, packed(integers, bits))
        quantized.type = kinds.INT8 if bits == 8 else kinds.INT4
        quantized.quantization = parameters = self._schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
        self._tensor(name + b"/scales", scales.shape, scales).type = kinds.FLOAT32
        self._tensor(name + b"/shape", (2,), shape).type = kinds.INT32
        self._tensor(name + b"/read", integers.shape).type = kinds.FLOAT32
        self._tensor(name + b"/scaled", integers.shape).type = kinds.FLOAT32
        self._release(weight)
        first = len(self._graph.tensors) - 5
        codes, options = self._schema.BuiltinOperator, self._schema
        reshape = options.ReshapeOptionsT()
        reshape.newShape = shape
        made = [
            self._operator(codes.DEQUANTIZE, DEQUANTIZE_INT4, [first], first + 3, None),
            self._operator(codes.MUL, 1, [first + 3, first + 1], first + 4, options.MulOptionsT()),
            self._operator(codes.RESHAPE, 1, [first + 4, first + 2], at, reshape),
        ]
        reader = next(i for i, op in enumerate(self._graph.operators) if at in op.inputs)
        self._graph.operators[reader:reader] = made

    def _release(self, weight: Any) -> None:
        """Leave the tensor to an operator to compute, and its data to no one."""
        freed, weight.buffer = weight.buffer, 0
        graphs = self._parsed.subgraphs
        if not any(tensor.buffer == freed for graph in graphs for tensor in graph.tensors):
            self._parsed.buffers[freed].data = None

    def _tensor(self, name: bytes, shape: tuple[int, ...], data: Array | None = None) -> Any:
        import numpy as np

        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.hasRank = name, np.asarray(shape, np.int32), True
        tensor.buffer = 0
        if data is not None:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self._parsed.buffers)
            self._parsed.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return tensor

    def _operator(
        self, code: int, version: int, inputs: list[int], output: int, options: Any
    ) -> Any:
        made = self._schema.OperatorT()
        made.inputs, made.outputs = inputs, [output]
        made.opcodeIndex = self._code(code, version)
        if options is not None:
            made.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
        return made

    def _code(self, code: int, version: int) -> int:
        for index, known in enumerate(self._parsed.operatorCodes):
            if known.builtinCode == code and known.version >= version:
                return index
        made = self._schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = version
        self._parsed.operatorCodes.append(made)
        return len(self._parsed.operatorCodes) - 1
