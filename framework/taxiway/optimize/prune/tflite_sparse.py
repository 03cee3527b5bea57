"""Sparse storage of the zeros that pruning left in a .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Config, Context, Pass

if TYPE_CHECKING:
    from taxiway.model.runners.kernels import Kernels
    from taxiway.optimize.prune.tflite_encoding import Encoding

TYPES = {"FLOAT32": "<f4", "FLOAT16": "<f2", "INT8": "i1"}
"""Element types that LiteRT's DENSIFY reads (tensorflow/lite/kernels/densify.cc)."""
READERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators that were seen to compute the same from such a weight. XNNPACK's TRANSPOSE_CONV was not."""
OVERHEAD = 400
"""Bytes that the descriptions of a sparse tensor and of its operator take, about."""


class SparsifyConfig(Config, frozen=True):
    """Options of sparse storage: none."""


class Sparsify(Pass):
    """Stores the weights of a pruned .tflite without their zeros, where that makes the file smaller.

    LiteRT reads them back when the model is loaded (DENSIFY): the file gets smaller; memory, time and
    results stay. Integer kernels do not take such weights: it works on float32 and float16 weights, on
    those of quantize_weights with 8 bits, and on quantize_int16.
    """

    Config = SparsifyConfig
    accepts = frozenset({"tflite"})
    establishes = frozenset({"sparse"})
    undoes = {"sparse": "the zeros are left out already"}
    libraries = ("ai-edge-litert",)

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.optimize.result import optimized

        file = _File(model.path)
        before = model.path.stat().st_size
        stored = file.sparsify()
        content = file.content()
        if not stored or len(content) >= before:
            raise _useless(model.path.name, file)
        path = context.workdir / "model.tflite"
        path.write_bytes(content)
        result = optimized(model, path)
        _check_same(model.path, path)
        context.tell(
            "sparse", {"weights": stored, "bytes": {"before": before, "after": len(content)}}
        )
        return result


class _File:
    """A parsed .tflite. integer: names of sparse weights that integer kernels read."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils

        self._schema, self._tools = schema, flatbuffer_utils
        self._parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))
        self._graph = self._parsed.subgraphs[0]
        self._operators = {code: name for name, code in vars(schema.BuiltinOperator).items()}
        self._types = {getattr(schema.TensorType, name): dtype for name, dtype in TYPES.items()}
        self.integer: list[str] = []

    def content(self) -> bytes:
        return bytes(self._tools.convert_object_to_bytearray(self._parsed))

    def sparsify(self) -> dict[str, float]:
        """Store what gets smaller by it; name of a weight -> its share of zeros."""
        from taxiway.optimize.prune.tflite_encoding import smallest

        done: dict[str, float] = {}
        for index in range(len(self._graph.tensors)):
            values = self._values(index)
            if values is None:
                continue
            encoding = smallest(values)
            if encoding.size + OVERHEAD >= values.nbytes:
                continue
            name = self._graph.tensors[index].name.decode()
            if self._readable(index):
                done[name] = 1 - float((values != 0).mean())
                self._replace(index, encoding)
            else:
                self.integer.append(name)
        return done

    def _values(self, index: int) -> Any:
        """A weight of two axes or more that no other tensor shares, or None."""
        import numpy as np

        tensor = self._graph.tensors[index]
        data = self._parsed.buffers[tensor.buffer].data
        if data is None or tensor.type not in self._types or tensor.sparsity is not None:
            return None
        if tensor.shape is None or len(tensor.shape) < 2 or not self._readers(index):
            return None
        graphs = self._parsed.subgraphs
        if sum(other.buffer == tensor.buffer for graph in graphs for other in graph.tensors) > 1:
            return None
        return np.asarray(data, np.uint8).view(self._types[tensor.type]).reshape(tensor.shape)

    def _readers(self, index: int) -> list[Any]:
        return [operator for operator in self._graph.operators if index in operator.inputs]

    def _kind(self, operator: Any) -> str:
        return str(self._operators[self._parsed.operatorCodes[operator.opcodeIndex].builtinCode])

    def _readable(self, index: int) -> bool:
        """Whether all that read a weight compute in float32, or in 16 bits, from it."""
        kinds = self._schema.TensorType
        plain = self._graph.tensors[index].type == kinds.FLOAT32
        for reader in self._readers(index):
            if self._kind(reader) == "DEQUANTIZE":
                if not all(
                    self._kind(after) in READERS for after in self._readers(reader.outputs[0])
                ):
                    return False
            else:
                wide = self._graph.tensors[reader.inputs[0]].type == kinds.INT16
                if self._kind(reader) not in READERS or not (plain or wide):
                    return False
        return True

    def _replace(self, index: int, encoding: Encoding) -> None:
        import numpy as np

        schema, tensor = self._schema, self._graph.tensors[index]
        stored = schema.TensorT()
        stored.name, stored.shape, stored.type = tensor.name + b"/sparse", tensor.shape, tensor.type
        stored.hasRank, stored.quantization = True, tensor.quantization
        stored.sparsity = self._described(encoding, tensor.shape)
        self._parsed.buffers[tensor.buffer].data = np.frombuffer(
            encoding.values.tobytes(), np.uint8
        )
        stored.buffer, tensor.buffer = tensor.buffer, 0
        reader = next(i for i, op in enumerate(self._graph.operators) if index in op.inputs)
        self._graph.tensors.append(stored)
        densify = schema.OperatorT()
        densify.inputs, densify.outputs = [len(self._graph.tensors) - 1], [index]
        densify.opcodeIndex = self._code()
        densify.builtinOptions = schema.DensifyOptionsT()
        densify.builtinOptionsType = schema.BuiltinOptions.DensifyOptions
        self._graph.operators.insert(reader, densify)

    def _described(self, encoding: Encoding, shape: Any) -> Any:
        import numpy as np

        schema = self._schema
        found = schema.SparsityParametersT()
        blocked = encoding.block > 1
        rank, axis = len(encoding.order), encoding.order[-1]
        found.traversalOrder = np.asarray([*encoding.order, *([rank] if blocked else [])], np.int32)
        found.blockMap = np.asarray([axis], np.int32) if blocked else None
        found.dimMetadata = [self._dense(int(shape[other])) for other in encoding.order[:-1]]
        compressed = schema.DimensionMetadataT()
        compressed.format = schema.DimensionType.SPARSE_CSR
        compressed.arraySegmentsType, compressed.arraySegments = self._vector(encoding.segments)
        compressed.arrayIndicesType, compressed.arrayIndices = self._vector(encoding.indices)
        found.dimMetadata.append(compressed)
        if blocked:
            found.dimMetadata.append(self._dense(encoding.block))
        return found

    def _dense(self, size: int) -> Any:
        made = self._schema.DimensionMetadataT()
        made.format, made.denseSize = self._schema.DimensionType.DENSE, size
        return made

    def _vector(self, values: Any) -> tuple[int, Any]:
        name = f"{values.dtype.name.capitalize()}Vector"
        made = getattr(self._schema, f"{name}T")()
        made.values = values
        return getattr(self._schema.SparseIndexVector, name), made

    def _code(self) -> int:
        code = self._schema.BuiltinOperator.DENSIFY
        for index, known in enumerate(self._parsed.operatorCodes):
            if known.builtinCode == code:
                return index
        made = self._schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = 1
        self._parsed.operatorCodes.append(made)
        return len(self._parsed.operatorCodes) - 1


def _useless(name: str, file: _File) -> StepError:
    if file.integer:
        return StepError(
            f"the sparse weights of {name} are read by kernels that take dense ones only, such as "
            f"'{file.integer[0]}'",
            "quantize by quantize_weights in place of quantize_static or quantize_dynamic, or drop "
            "sparsify: the file compresses as well without it",
        )
    return StepError(
        f"no weight of {name} gets smaller without its zeros: an 8-bit weight needs more than half of "
        "them, as a rule two thirds, and 4-bit weights stay as they are",
        "prune first, by prune_magnitude, or drop sparsify",
    )


def _check_same(before: Path, after: Path) -> None:
    """Raises StepError where LiteRT computes another number from the sparse weights, in either of its sets
    of kernels."""
    import numpy as np

    from taxiway.model.inspect import describe
    from taxiway.model.runners.litert_runner import LiteRTRunner

    models = [describe(path, "tflite") for path in (before, after)]
    random = np.random.default_rng(0)
    feed = {}
    for spec in models[0].signature.inputs:
        shape = tuple(axis if isinstance(axis, int) else 1 for axis in spec.shape)
        if spec.quantized or spec.dtype.startswith("float"):
            feed[spec.name] = random.normal(size=shape).astype(np.float32)
        else:
            feed[spec.name] = np.zeros(shape, spec.dtype)
    kernels: tuple[Kernels, ...] = ("fast", "plain")
    for kind in kernels:
        one, two = (LiteRTRunner(model, 1, kind).predict(feed) for model in models)
        for name, values in one.items():
            if not np.array_equal(values, two[name], equal_nan=True):
                raise StepError(
                    f"LiteRT computes another '{name}' from the sparse weights of {before.name}",
                    "drop sparsify",
                )
