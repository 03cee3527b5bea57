"""Weights of an ONNX file: initializers and constants, in files beside it, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model.onnx_file import load_graph
from taxiway.model.weights.cast_integers import THROUGH, CastIntegers
from taxiway.model.weights.packed import unpacked
from taxiway.model.weights.stored import StoredWeight

if TYPE_CHECKING:
    import numpy as np

_ZERO_POINT = {
    "DequantizeLinear": {0: 2},
    "ConvInteger": {1: 3},
    "MatMulInteger": {1: 3},
    "QLinearConv": {3: 5},
    "QLinearMatMul": {0: 2, 3: 5},
    "QGemm": {3: 5},
    "DynamicQuantizeMatMul": {1: 3},
    "MatMulIntegerToFloat": {1: 5},
    "DynamicQuantizeLSTM": {1: 9, 2: 11},
}
"""Operator -> input that is a quantized weight -> input that is its zero point."""
_NO_WEIGHTS = {
    "DequantizeLinear": {1},
    "QuantizeLinear": {1},
    "Upsample": {1},
    "Resize": {1, 2},
    "Pad": {2},
    "Clip": {1, 2},
    "MatMulNBits": {1, 2, 3},
    "QLinearConv": {1, 4, 6},
    "QLinearMatMul": {1, 4, 6},
    "QLinearAdd": {1, 4, 6},
    "QLinearMul": {1, 4, 6},
    "QGemm": {1, 4, 7},
    "DynamicQuantizeMatMul": {2},
    "MatMulIntegerToFloat": {2, 3},
    "DynamicQuantizeLSTM": {8, 10},
}
"""Operator -> inputs that hold scales or limits."""
_AXES = {
    "Conv": {1: (1, 0)},
    "FusedConv": {1: (1, 0)},
    "ConvInteger": {1: (1, 0)},
    "QLinearConv": {3: (1, 0)},
    "ConvTranspose": {1: (0, 1)},
    **{kind: {0: (-1, -2), 1: (-2, -1)} for kind in ("MatMul", "MatMulInteger", "FusedMatMul")},
    "QLinearMatMul": {3: (-2, -1)},
    **{kind: {1: (-2, -1)} for kind in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")},
    **{kind: {1: (2, 1), 2: (2, 1)} for kind in ("LSTM", "GRU", "RNN")},
    "DynamicQuantizeLSTM": {1: (1, 2), 2: (1, 2)},
}
"""Operator -> input that is a weight -> its axes of input and output channels (ONNX operator specs)."""
_SAME_AXES = ("DequantizeLinear", "QuantizeLinear", "Cast", "Identity")
MAX_HOPS = 8
"""Operators between a constant and the one that computes with it."""


@dataclass(frozen=True)
class Use:
    """One place where a constant is read: the node and the number of its input."""

    node: Any
    at: int


def onnx_weights(path: Path) -> Iterator[StoredWeight]:
    """Floating tensors of more than one number that an operator reads, and integers that one dequantizes.

    Tensors of subgraphs and of functions are read, too. Raises StepError where the file or a tensor of it
    cannot be read.
    """
    proto = load_graph(path)
    bodies = [proto.graph, *proto.functions]
    for body in bodies:
        yield from OnnxBody(body, path).weights()


class OnnxBody:
    """A graph with its subgraphs, or a function: one space of names, for no two tensors are called alike.

    constants: name -> TensorProto or SparseTensorProto, of initializers and of Constant nodes. uses: name ->
    where it is read.
    """

    def __init__(self, body: Any, path: Path) -> None:
        self._path = path
        self._graphs = list(_graphs(body))
        self.constants = {
            tensor.name: tensor
            for graph in self._graphs
            for tensor in getattr(graph, "initializer", ())
        }
        self.constants |= {
            sparse.values.name: sparse
            for graph in self._graphs
            for sparse in getattr(graph, "sparse_initializer", ())
        }
        self.uses: dict[str, list[Use]] = {}
        for graph in self._graphs:
            for node in graph.node:
                for at, name in enumerate(node.input):
                    self.uses.setdefault(name, []).append(Use(node, at))
                for attribute in node.attribute if node.op_type == "Constant" else ():
                    if attribute.name in ("value", "sparse_value"):
                        self.constants[node.output[0]] = (
                            attribute.t if attribute.name == "value" else attribute.sparse_tensor
                        )
        readers = {name: [use.node for use in found] for name, found in self.uses.items()}
        makers = {
            name: node for graph in self._graphs for node in graph.node for name in node.output
        }
        self._cast = CastIntegers(self.constants, readers, makers)

    def weights(self) -> Iterator[StoredWeight]:
        for name, tensor in self.constants.items():
            for use in self.uses.get(name, ()):
                weight = self._weight(name, tensor, use)
                if weight is not None:
                    yield weight
                    break

    def _weight(self, name: str, tensor: Any, use: Use) -> StoredWeight | None:
        node, at = use.node, use.at
        if node.op_type == "MatMulNBits" and at == 1:
            return self._blocks(name, tensor, node)
        subtracted = self._cast.zero(name, node) if at == 0 else None
        if subtracted is not None:
            values = self._array(name, tensor)
            zero = self._array(subtracted, self.constants[subtracted]) if subtracted else 0
            return StoredWeight(name, values, zero, self._axes(use, values.ndim, THROUGH))
        if self._cast.is_scale(name, node):
            return None
        zero_at = _ZERO_POINT.get(node.op_type, {}).get(at)
        if at in _NO_WEIGHTS.get(node.op_type, ()) or _is_zero_point(node, at):
            return None
        if zero_at is None and not _is_floating(tensor):
            return None
        values = self._array(name, tensor)
        if values.size < 2:
            return None
        zero = self._zero(node, zero_at, values) if zero_at is not None else 0
        return StoredWeight(name, values, zero, self._axes(use, values.ndim))

    def _zero(self, node: Any, at: int, values: np.ndarray[Any, Any]) -> Any:
        """The zero point of an input, so that it broadcasts against `values`."""
        import numpy as np

        name = node.input[at] if at < len(node.input) else ""
        if name not in self.constants:
            return 0
        zero = self._array(name, self.constants[name])
        if zero.size == 1:
            return zero.reshape(-1)[0]
        settings = {attribute.name: attribute.i for attribute in node.attribute}
        if settings.get("block_size"):
            axis = settings.get("axis", 1) % values.ndim
            return np.repeat(zero, settings["block_size"], axis)[
                tuple(slice(length) for length in values.shape)
            ]
        if zero.ndim != 1:
            return zero if zero.ndim == values.ndim else zero[..., None, :]
        if node.op_type == "DequantizeLinear":
            axis = settings.get("axis", 1) % values.ndim
        else:
            axis = 0 if "Conv" in node.op_type else values.ndim - 1
        return zero.reshape([-1 if at == axis else 1 for at in range(values.ndim)])

    def _blocks(self, name: str, tensor: Any, node: Any) -> StoredWeight:
        """The weight of a MatMulNBits: stored `[N, blocks, bytes]`, given as `[N, K]`
        (onnxruntime ContribOperators.md)."""
        import numpy as np

        settings = {attribute.name: attribute.i for attribute in node.attribute}
        bits, block = settings.get("bits", 4), settings["block_size"]
        rows, columns = settings["N"], settings["K"]
        count = -(-columns // block)

        def rows_of(data: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
            data = data.reshape(rows, -1)
            each = [row if bits == 8 else unpacked(row, bits, length, signed=False) for row in data]
            return np.stack(each)[:, :length]

        values = rows_of(self._array(name, tensor), count * block)[:, :columns]
        zero: Any = 1 << (bits - 1)
        points = node.input[3] if len(node.input) > 3 else ""
        if points in self.constants:
            stored = self._array(points, self.constants[points])
            if stored.dtype == np.uint8:
                zero = np.repeat(rows_of(stored, count), block, 1)[:, :columns]
        return StoredWeight(name, values, zero, (1, 0))

    def _axes(self, use: Use, ndim: int, more: Sequence[str] = ()) -> tuple[int, int] | None:
        """Which axes are input and output channels, followed through what only stores differently.

        more: operators, besides the usual ones, that leave axes where they are.
        """
        order = list(range(ndim))
        for _ in range(MAX_HOPS):
            node = use.node
            if node.op_type == "Gemm" and use.at == 1:
                transposed = any(item.name == "transB" and item.i for item in node.attribute)
                axes: tuple[int, int] | None = (1, 0) if transposed else (0, 1)
            elif node.op_type == "QGemm" and use.at == 3:
                transposed = any(item.name == "transB" and item.i for item in node.attribute)
                axes = (1, 0) if transposed else (0, 1)
            else:
                axes = _AXES.get(node.op_type, {}).get(use.at)
            if axes:
                fits = all(-ndim <= axis < ndim for axis in axes)
                return (order[axes[0]], order[axes[1]]) if fits else None
            if node.op_type == "Transpose":
                perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
                perm = perm or list(range(ndim))[::-1]
                if len(perm) != ndim:
                    return None
                order = [order[axis] for axis in perm]
            elif node.op_type not in (*_SAME_AXES, *more):
                return None
            following = self.uses.get(node.output[0], [])
            if not following:
                return None
            use = following[0]
        return None

    def _array(self, name: str, tensor: Any) -> np.ndarray[Any, Any]:
        import numpy as np
        import onnx

        try:
            if isinstance(tensor, onnx.SparseTensorProto):
                return self._dense(tensor)
            values = onnx.numpy_helper.to_array(tensor, str(self._path.parent))
        except Exception as error:
            raise StepError(
                f"{self._path.name}: weight '{name}' cannot be read: {error}"
            ) from error
        if np.dtype(values.dtype).isbuiltin == 1:
            return np.asarray(values)
        narrow = {"int4": np.int8, "int2": np.int8, "uint4": np.uint8, "uint2": np.uint8}
        return np.asarray(values.astype(narrow.get(values.dtype.name, np.float32)))

    def _dense(self, sparse: Any) -> np.ndarray[Any, Any]:
        import numpy as np
        import onnx

        values = onnx.numpy_helper.to_array(sparse.values, str(self._path.parent))
        indices = onnx.numpy_helper.to_array(sparse.indices, str(self._path.parent))
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
        return dense


def _graphs(body: Any) -> Iterator[Any]:
    yield body
    for node in body.node:
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                if graph.node or graph.initializer:
                    yield from _graphs(graph)


def _is_zero_point(node: Any, at: int) -> bool:
    return at in _ZERO_POINT.get(node.op_type, {}).values() or (
        node.op_type == "QuantizeLinear" and at == 2
    )


def _is_floating(tensor: Any) -> bool:
    import onnx

    inner = tensor.values if isinstance(tensor, onnx.SparseTensorProto) else tensor
    name: str = onnx.TensorProto.DataType.Name(inner.data_type)
    return name.startswith(("FLOAT", "DOUBLE", "BFLOAT"))
