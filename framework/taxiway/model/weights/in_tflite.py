"""Weights of a TFLite file, read through the verifying reader of the safety gate: no runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model.weights.packed import unpacked
from taxiway.model.weights.stored import StoredWeight
from taxiway.model.weights.tflite_sparse import dense
from taxiway.safety.allowlist import allowlist
from taxiway.safety.flatbuffer import Malformed, Table
from taxiway.safety.tflite_model import opened

if TYPE_CHECKING:
    import numpy as np

_FLOATS = {"FLOAT32": "<f4", "FLOAT16": "<f2", "FLOAT64": "<f8"}
_INTEGERS = {"INT8": "i1", "UINT8": "u1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8"}
_PACKED = {"INT4": 4, "INT2": 2, "UINT4": 4}
_AXES = {
    "FULLY_CONNECTED": {1: (1, 0)},
    "CONV_2D": {1: (3, 0)},
    "TRANSPOSE_CONV": {1: (3, 0)},
    "CONV_3D": {1: (3, 4)},
    "UNIDIRECTIONAL_SEQUENCE_RNN": {1: (1, 0), 2: (1, 0)},
}
"""Operator -> input that is a weight -> its axes of input and output channels (TFLite's op definitions)."""
_SAME_AXES = ("DEQUANTIZE", "DENSIFY")
_IN_PIECES = {
    "LSTM": (1, 5),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (1, 5),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (1, 5, 18, 22),
}
"""Operators that hold a kernel as four inputs, one for each gate: the first of the four."""
GATES = 4


def tflite_weights(path: Path) -> Iterator[StoredWeight]:
    """Constant tensors of a float type or with a quantization, of more than one number, that an operator reads.

    The kernels of an LSTM come as one weight each, its gates one after the other, as Keras has them; a
    sparse tensor comes dense. Raises StepError where the file or a tensor of it cannot be read.
    """
    try:
        with opened(path) as model:
            yield from _File(model, path).weights()
    except Malformed as error:
        raise StepError(f"{path.name} is no readable TFLite model: {error}") from error


class _File:
    def __init__(self, model: Table, path: Path) -> None:
        self._path = path
        self._buffers = list(model.tables("Buffers"))
        names: dict[str, str] = allowlist("tflite_schema")["operators"]
        self._codes = [
            names.get(
                str(max(code.number("BuiltinCode"), code.number("DeprecatedBuiltinCode"))), ""
            )
            for code in model.tables("OperatorCodes")
        ]
        self._graphs = list(model.tables("Subgraphs"))
        self._types: dict[str, str] = allowlist("tflite_schema")["types"]

    def weights(self) -> Iterator[StoredWeight]:
        seen: set[int] = set()
        for graph in self._graphs:
            tensors = list(graph.tables("Tensors"))
            uses: dict[int, list[tuple[Table, int]]] = {}
            for operator in graph.tables("Operators"):
                for at, index in enumerate(operator.numbers("Inputs")):
                    if index >= 0:
                        uses.setdefault(index, []).append((operator, at))
            for index, tensor in enumerate(tensors):
                buffer = tensor.number("Buffer")
                if index not in uses or buffer in seen or not self._is_weight(tensor):
                    continue
                operator, at = uses[index][0]
                pieces = self._pieces(operator, at, tensors)
                seen |= {piece.number("Buffer") for piece in pieces or (tensor,)}
                yield self._weight(tensor, pieces, self._axes(operator, at, uses))

    def _weight(
        self, tensor: Table, pieces: Sequence[Table], axes: tuple[int, int] | None
    ) -> StoredWeight:
        import numpy as np

        name = tensor.text("Name")
        if pieces:
            values = np.concatenate([self._values(piece) for piece in pieces])
            return StoredWeight(name, values, 0, (1, 0))
        values = self._values(tensor)
        axes = axes if axes and max(axes) < values.ndim else None
        return StoredWeight(name, values, self._zero(tensor, values.ndim), axes)

    def _pieces(self, operator: Table, at: int, tensors: Sequence[Table]) -> list[Table]:
        """The tensors that make one kernel of an LSTM together with input `at`; else none."""
        inputs = operator.numbers("Inputs")
        for first in _IN_PIECES.get(self._codes[operator.number("OpcodeIndex")], ()):
            if first <= at < first + GATES and len(inputs) >= first + GATES:
                present = [index for index in inputs[first : first + GATES] if index >= 0]
                found = [tensors[index] for index in present]
                return found if all(self._is_weight(tensor) for tensor in found) else []
        return []

    def _is_weight(self, tensor: Table) -> bool:
        kind = self._types.get(str(tensor.number("Type")), "")
        scales = tensor.table("Quantization")
        quantized = scales is not None and (
            len(scales.numbers("Scale")) or scales.number("DetailsType")
        )
        if kind not in _FLOATS and not (quantized and (kind in _INTEGERS or kind in _PACKED)):
            return False
        sizes = tensor.numbers("Shape")
        several = any(size > 1 for size in sizes) and all(size > 0 for size in sizes)
        return several and len(self._bytes(tensor)) > 0

    def _bytes(self, tensor: Table) -> np.ndarray[Any, Any]:
        import numpy as np

        buffer = self._buffers[tensor.number("Buffer")]
        data = buffer.numbers("Data")
        if len(data) == 0 and buffer.number("Size"):
            offset, size = buffer.number("Offset"), buffer.number("Size")
            return np.memmap(self._path, np.uint8, "r", offset, (size,))
        return np.frombuffer(data, np.uint8)

    def _values(self, tensor: Table) -> np.ndarray[Any, Any]:
        import numpy as np

        kind = self._types[str(tensor.number("Type"))]
        shape = [*tensor.numbers("Shape")]
        count = int(np.prod(shape, dtype=np.int64))
        data = self._bytes(tensor)
        sparsity = tensor.table("Sparsity")
        try:
            if kind in _PACKED:
                bits = _PACKED[kind]
                stored = count if sparsity is None else len(data) * 8 // bits
                flat = unpacked(data, bits, stored, signed=not kind.startswith("U"))
            else:
                dtype = np.dtype(_FLOATS.get(kind) or _INTEGERS[kind])
                flat = data[: len(data) // dtype.itemsize * dtype.itemsize].view(dtype)
            if sparsity is not None:
                return dense(flat, shape, sparsity)
            # A copy: the file is unmapped when the reader is done.
            return np.array(flat[:count].reshape(shape))
        except (ValueError, IndexError) as error:
            name = tensor.text("Name")
            raise StepError(
                f"{self._path.name}: tensor '{name}' cannot be read: {error}"
            ) from error

    def _zero(self, tensor: Table, ndim: int) -> Any:
        import numpy as np

        scales = tensor.table("Quantization")
        points = [*scales.numbers("ZeroPoint")] if scales is not None else []
        if len(set(points)) <= 1:
            return points[0] if points else 0
        assert scales is not None
        axis = scales.number("QuantizedDimension")
        return np.array(points).reshape([-1 if at == axis else 1 for at in range(ndim)])

    def _axes(
        self, operator: Table, at: int, uses: dict[int, list[tuple[Table, int]]]
    ) -> tuple[int, int] | None:
        for _ in _SAME_AXES:
            if self._codes[operator.number("OpcodeIndex")] not in _SAME_AXES:
                break
            outputs = operator.numbers("Outputs")
            following = uses.get(outputs[0], []) if len(outputs) else []
            if not following:
                return None
            operator, at = following[0]
        kind = self._codes[operator.number("OpcodeIndex")]
        if kind == "BATCH_MATMUL" and at == 1:
            options = operator.table("BuiltinOptions")
            return (1, 0) if options is not None and options.number("AdjY") else (0, 1)
        return _AXES.get(kind, {}).get(at)
