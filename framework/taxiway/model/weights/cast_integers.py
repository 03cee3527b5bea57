"""Integer weights of an ONNX graph that Cast, Sub and Mul bring back to real numbers.

Weight-only quantization is stored so where a runtime folds these operators when it loads the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_FLOATS = (1, 10, 11, 16)
_INTEGERS = (2, 3, 21, 22)
"""TensorProto.DataType: FLOAT, FLOAT16, DOUBLE, BFLOAT16; UINT8, INT8, UINT4, INT4."""
THROUGH = ("Sub", "Mul")


class CastIntegers:
    """What reads integer constants of a graph as real numbers.

    constants: name -> TensorProto. uses: name -> nodes that read it. makers: name -> node that gives it.
    """

    def __init__(
        self,
        constants: Mapping[str, Any],
        uses: Mapping[str, Sequence[Any]],
        makers: Mapping[str, Any],
    ) -> None:
        self._constants, self._uses, self._makers = constants, uses, makers

    def zero(self, name: str, node: Any) -> str | None:
        """What is subtracted from the constant `name` that `node` reads: a constant's name, or an empty
        one where nothing is. None: it is no integer matrix that becomes real numbers."""
        tensor = self._constants.get(name)
        if getattr(tensor, "data_type", 0) not in _INTEGERS or len(tensor.dims) < 2:  # type: ignore[union-attr]
            return None
        cast = node
        if node.op_type == "Gather" and node.input[0] == name:
            cast = next(iter(self._uses.get(node.output[0], ())), None)
        if cast is None or not _to_real(cast):
            return None
        after = next(iter(self._uses.get(cast.output[0], ())), None)
        return after.input[1] if after is not None and after.op_type == "Sub" else ""

    def is_scale(self, name: str, node: Any) -> bool:
        """Whether `node` multiplies such a constant by `name`, or subtracts `name` from it."""
        if node.op_type not in THROUGH or len(node.input) < 2 or node.input[1] != name:
            return False
        maker = self._makers.get(node.input[0])
        if maker is not None and maker.op_type == "Sub":
            maker = self._makers.get(maker.input[0])
        if maker is None or not _to_real(maker):
            return False
        origin = maker.input[0]
        gather = self._makers.get(origin)
        if gather is not None and gather.op_type == "Gather":
            origin, maker = gather.input[0], gather
        return self.zero(origin, maker) is not None


def _to_real(node: Any) -> bool:
    return node.op_type == "Cast" and any(
        item.name == "to" and item.i in _FLOATS for item in node.attribute
    )
