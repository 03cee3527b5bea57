"""What ONNX Runtime gives on samples made up for the purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Tensors = Mapping[str, np.ndarray[Any, Any]]

_SIZES = ((2, 16), (3, 32), (2, 3), (1, 64), (1, 128), (1, 224), (1, 1), (2, 2))
"""Sizes tried for a free first axis and for any other, until two of them run."""


def session(proto: Any) -> Any:
    """`proto` in ONNX Runtime, in the order of its nodes and without fusions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def with_all_tensors(proto: Any) -> Any:
    """A copy of `proto` whose outputs are all tensors that its nodes give."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    have = {value.name for value in copy.graph.output}
    for node in copy.graph.node:
        copy.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in node.output if name and name not in have
        )
    return copy


def traces(proto: Any) -> list[dict[str, Any]]:
    """Every tensor of `proto` by name on two made-up samples, of different sizes where an input has a
    free axis; one where only one runs.

    Raises what ONNX Runtime said last where none does."""
    running = session(with_all_tensors(proto))
    names = [output.name for output in running.get_outputs()]
    found: list[dict[str, Any]] = []
    failure: Exception | None = None
    for attempt, sizes in enumerate(_attempts(proto)):
        for kind in ("normal", "ones", "zeros"):
            inputs = _inputs(proto, sizes, kind, attempt)
            try:
                values = running.run(names, inputs)
            except Exception as error:
                # Sizes or numbers that the model does not take.
                failure = error
                continue
            found.append({**inputs, **dict(zip(names, values, strict=True))})
            break
        if len(found) == 2:
            break
    if failure and not found:
        raise failure
    return found


def _attempts(proto: Any) -> Sequence[tuple[int, int]]:
    axes = [axis for value in proto.graph.input for axis in value.type.tensor_type.shape.dim]
    free = any(not axis.HasField("dim_value") for axis in axes)
    return _SIZES if free else _SIZES[:2]


def _inputs(proto: Any, sizes: tuple[int, int], kind: str, seed: int) -> dict[str, Any]:
    import numpy as np
    from onnx import helper

    generator = np.random.default_rng(seed)
    named: dict[str, int] = {}

    def size(position: int, axis: Any) -> int:
        if axis.HasField("dim_value"):
            return int(axis.dim_value)
        default = sizes[0] if position == 0 else sizes[1]
        return named.setdefault(axis.dim_param, default) if axis.dim_param else default

    inputs = {}
    for value in proto.graph.input:
        tensor = value.type.tensor_type
        shape = [size(*item) for item in enumerate(tensor.shape.dim)]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if kind != "normal":
            inputs[value.name] = np.full(shape, kind == "ones", dtype)
        elif dtype.kind == "f":
            inputs[value.name] = np.asarray(generator.standard_normal(shape)).astype(dtype)
        else:
            inputs[value.name] = np.asarray(generator.integers(0, 2, shape)).astype(dtype)
    return inputs
