"""What the ONNX Runtime quantizers share: preparation before, proof after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.result import optimized
from taxiway.plugins import Context

QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger")


@contextmanager
def prepared(model: Model) -> Iterator[Path]:
    """A temporary copy with shapes inferred and batch normalization folded, as the quantizers
    want it; they write scratch files beside it. Raises StepError where the model is quantized
    already."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from taxiway.model.onnx_file import load_graph

    if count_ops(*QUANTIZED)(load_graph(model.path)):
        raise StepError(
            f"{model.path.name} is quantized already", "drop the pass, or start from a float model"
        )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "prepared.onnx"
        try:
            # Symbolic inference needs sympy and adds nothing to the graphs Taxiway writes.
            quant_pre_process(str(model.path), str(path), skip_symbolic_shape=True)
        except Exception as error:
            raise StepError(f"ONNX Runtime cannot prepare {model.path.name}: {error}") from error
        yield path


def checked(model: Model, proto: Any, evidence: Callable[[Any], int], context: Context) -> Model:
    """Save `proto` and hold it against `model`.

    evidence: counts in a ModelProto what shows that the pass did something. Raises StepError where
    there is no more of it than before, or where the result is no valid ONNX.
    """
    from taxiway.model.onnx_file import check_file, load_graph, write_graph

    if evidence(proto) <= evidence(load_graph(model.path)):
        raise StepError(
            f"nothing was quantized: {model.path.name} has no float operator that ONNX Runtime "
            "changes",
            "drop the pass, or start from a float model",
        )
    path = write_graph(proto, context.workdir / "model.onnx")
    check_file(path)
    return optimized(model, path)


def count_ops(*ops: str) -> Callable[[Any], int]:
    """Counts the nodes of a ModelProto whose operator is among `ops`."""
    return lambda proto: sum(node.op_type in ops for node in proto.graph.node)
