"""One weight as a file stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CHUNK = 1 << 22
"""Elements that are compared or sorted at once."""


@dataclass(frozen=True)
class StoredWeight:
    """The constant of a model that an operator computes with.

    name: the tensor's name in the file (Keras: the variable's path). values: as stored, any shape; the
    integers of a quantized weight, float32 for a float type that NumPy does not have. zero: the stored
    value that stands for 0; an array that broadcasts against `values` where channels or blocks have their
    own. axes: the axes of input and of output channels; None where the operator has none, or is unknown.
    """

    name: str
    values: np.ndarray[Any, Any]
    zero: Any = 0
    axes: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return int(self.values.size)

    @property
    def is_kernel(self) -> bool:
        """Whether it is more than a vector: a kernel or a table, no bias and no scale of channels."""
        return self.values.ndim >= 2

    def zeros(self) -> int:
        """How many elements stand for 0."""
        import numpy as np

        if isinstance(self.zero, np.ndarray):
            return int(np.count_nonzero(self.values == self.zero))
        flat = self.values.reshape(-1)
        return sum(
            int(np.count_nonzero(flat[at : at + CHUNK] == self.zero))
            for at in range(0, flat.size, CHUNK)
        )

    def distinct(self) -> int:
        """How many distinct values are stored."""
        import numpy as np

        flat = self.values.reshape(-1)
        found = np.unique(flat[:CHUNK])
        for at in range(CHUNK, flat.size, CHUNK):
            found = np.union1d(found, flat[at : at + CHUNK])
        return int(found.size)

    def matrix(self) -> np.ndarray[Any, Any] | None:
        """Whether each element is not zero: bool `[output channels, other axes and input channels]`.

        Columns run over the input channels fastest, as in a convolution that was made a product. None where
        the axes are unknown.
        """
        import numpy as np

        if self.axes is None:
            return None
        inputs, outputs = (axis % self.values.ndim for axis in self.axes)
        others = [axis for axis in range(self.values.ndim) if axis not in (inputs, outputs)]
        kept = np.asarray(self.values != self.zero)
        moved = kept.transpose([outputs, *others, inputs])
        return moved.reshape(self.values.shape[outputs], -1)
