"""TFLite files of one fully connected layer, written with the schema's own classes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def files() -> SimpleNamespace:
    return SimpleNamespace(
        fully_connected=fully_connected, quantization=quantization, sparse=sparse
    )


def fully_connected(
    path: Path, weight: Any, *, before: str | None = None, tensor: Any = None
) -> Path:
    """A file whose FULLY_CONNECTED reads the constant `weight` `[out, in]`, maybe through the operator `before`.

    tensor: a function that changes the weight's schema TensorT and may give the bytes to store.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    def made(name: str, shape: Any, kind: int, buffer: int) -> Any:
        new = schema.TensorT()
        new.name, new.shape, new.type, new.buffer = name.encode(), list(shape), kind, buffer
        return new

    def operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
        new = schema.OperatorT()
        new.opcodeIndex, new.inputs, new.outputs = code, inputs, outputs
        return new

    types = {"float32": 0, "float16": 1, "int8": 9}
    rows, columns = weight.shape
    constant = made("weight", weight.shape, types[weight.dtype.name], 1)
    content = (tensor(constant, weight) if tensor else None) or weight.tobytes()
    graph = schema.SubGraphT()
    graph.tensors = [
        made("x", (1, columns), 0, 0),
        constant,
        made("y", (1, rows), 0, 0),
        made("plain", weight.shape, 0, 0),
    ]
    graph.inputs, graph.outputs = [0], [2]
    builtin = schema.BuiltinOperator
    codes = [builtin.FULLY_CONNECTED, *([getattr(builtin, before)] if before else [])]
    graph.operators = [operator(0, [0, 3 if before else 1, -1], [2])]
    if before:
        graph.operators.insert(0, operator(1, [1], [3]))
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    for code in codes:
        new = schema.OperatorCodeT()
        new.builtinCode, new.deprecatedBuiltinCode = code, min(code, 127)
        model.operatorCodes.append(new)
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.frombuffer(content, np.uint8)
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return path


def quantization(scales: Any, zero_points: Any, axis: int = 0) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    new = schema.QuantizationParametersT()
    new.scale, new.zeroPoint = np.array(scales, np.float32), np.array(zero_points, np.int64)
    new.quantizedDimension = axis
    return new


def sparse(weight: Any, block: tuple[int, int] | None = None) -> tuple[Any, Any]:
    """The schema's SparsityParametersT of `weight`, rows dense and columns compressed, and the stored values.

    block: rows and columns of the blocks that are stored whole.
    """
    from ai_edge_litert import schema_py_generated as schema

    height, width = block or (1, 1)
    blocks = weight.reshape(weight.shape[0] // height, height, weight.shape[1] // width, width)
    present = blocks.any(axis=(1, 3))
    parameters = schema.SparsityParametersT()
    parameters.traversalOrder = [0, 1, 2, 3] if block else [0, 1]
    parameters.blockMap = [0, 1] if block else []

    def dense(size: int) -> Any:
        level = schema.DimensionMetadataT()
        level.format, level.denseSize = schema.DimensionType.DENSE, size
        return level

    rows = schema.DimensionMetadataT()
    rows.format = schema.DimensionType.SPARSE_CSR
    rows.arraySegmentsType = rows.arrayIndicesType = schema.SparseIndexVector.Int32Vector
    rows.arraySegments, rows.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
    rows.arraySegments.values = np.concatenate([[0], np.cumsum(present.sum(1))]).astype(np.int32)
    rows.arrayIndices.values = np.nonzero(present)[1].astype(np.int32)
    parameters.dimMetadata = [dense(present.shape[0]), rows]
    if block:
        parameters.dimMetadata += [dense(height), dense(width)]
    stored = [blocks[row, :, column, :].reshape(-1) for row, column in np.argwhere(present)]
    return parameters, np.concatenate(stored) if stored else np.zeros(0, weight.dtype)
