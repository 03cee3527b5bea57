"""A model opened up: its operators, every tensor between them, and each operator on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from taxiway.errors import StepError
from taxiway.model.model import Model

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Tensors = Mapping[str, Array]


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """One operator of a graph.

    name: as the file has it, else the name of its first output.
    inputs, outputs: tensor names in the operator's own order; omitted ones are left out.
    constants: those of `inputs` whose values are stored in the file.
    attributes: its settings that are numbers, such as `epsilon`.
    index: its place in the file, which names it without doubt.
    """

    index: int
    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: frozenset[str] = frozenset()
    attributes: tuple[float, ...] = ()

    @property
    def fed(self) -> tuple[str, ...]:
        """Inputs that are computed, each once."""
        return tuple(dict.fromkeys(name for name in self.inputs if name not in self.constants))


class Trace(Protocol):
    """A model whose tensors can be read and set.

    All arrays are real-valued: a tensor with a scale and a zero point is given as
    scale * (stored - zero_point), and is stored again where it is fed.

    inputs: the tensors that take the model's inputs, in the order of its signature. outputs: those
    that give its outputs, likewise. operators: each after those that it takes tensors from.
    """

    @property
    def model(self) -> Model: ...
    @property
    def operators(self) -> Sequence[Operator]: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def outputs(self) -> Sequence[str]: ...

    def constant(self, name: str) -> Array | None:
        """The value of a tensor that the file stores; None for any other."""
        ...

    def step(self, name: str) -> Array | float | None:
        """The distance of two neighbouring values of a quantized tensor, in real units; an array
        that broadcasts against the tensor where it differs by channel; None for a plain tensor."""
        ...

    def represent(self, name: str, value: Array) -> Array:
        """`value` as the tensor can hold it: cast, or rounded and clipped to its quantization."""
        ...

    def values(self, feeds: Tensors, names: Sequence[str]) -> Iterator[tuple[str, Array]]:
        """Run the whole model on `feeds` (arrays by tensor name) and give the tensors `names`, a
        bounded number in memory at a time. Tensors that are no arrays are left out."""
        ...

    def run(
        self, operators: Sequence[Operator], feeds: Tensors, outputs: Sequence[str]
    ) -> dict[str, Array]:
        """Run these operators alone. `feeds` holds what they take from others; a constant in it
        stands in for the stored one. Raises StepError where the runtime cannot."""
        ...

    def extract(
        self, operators: Sequence[Operator], feeds: Tensors, outputs: Sequence[str], path: Path
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Write a model file of these operators alone; the names that the file's runtime knows
        the tensors of `feeds` and `outputs` by. Arrays are stored ones there."""
        ...

    def stored(self, name: str, value: Array) -> Array:
        """`value` in the dtype that the file stores the tensor in."""
        ...


def open_trace(model: Model, workdir: Path) -> Trace:
    """Open a model of any format; files it needs meanwhile are written to `workdir`.

    Raises StepError where the model cannot be opened.
    """
    if model.format == "onnx":
        from taxiway.parity.trace.onnx_trace import OnnxTrace

        return OnnxTrace(model)
    if model.format == "tflite":
        from taxiway.parity.trace.tflite_trace import TFLiteTrace

        return TFLiteTrace(model, workdir)
    if model.format in ("saved_model", "keras"):
        from taxiway.parity.trace.tensorflow_trace import TensorFlowTrace

        return TensorFlowTrace(model)
    raise StepError(f"no trace for format '{model.format}'")
