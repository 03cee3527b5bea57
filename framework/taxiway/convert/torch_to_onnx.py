"""PyTorch -> ONNX: the dynamo exporter on a torch.export program."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taxiway.convert.onnx import DEFAULT_OPSET, OnnxConfig
from taxiway.convert.onnx_names import rename_tensors
from taxiway.errors import StepError
from taxiway.model import Model, Signature
from taxiway.plugins import Context, Converter

_OPERATOR = re.compile(r"OpOverload\(op='([\w.]+)'|\b(aten\.\w+(?:\.\w+)?|prims\.\w+(?:\.\w+)?)")
_KEPT = "namespace"
"""The note of a node that says which module it came from; others hold paths and numbers of the process."""


class TorchToOnnx(Converter):
    """torch.onnx with dynamo: names of inputs, outputs and free axes are kept."""

    Config = OnnxConfig
    accepts = frozenset({"torch"})
    produces = "onnx"
    libraries = ("torch", "onnxscript", "onnx")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import torch

        from taxiway.convert.onnx_result import write_onnx
        from taxiway.model.load_torch import load_torch

        program, signature = load_torch(model.path), model.signature
        try:
            with _quiet():
                proto = torch.onnx.export(
                    program.exported,
                    dynamo=True,
                    opset_version=DEFAULT_OPSET,
                    input_names=[f"taxiway_in_{i}" for i, _ in enumerate(signature.inputs)],
                    output_names=[f"taxiway_out_{i}" for i, _ in enumerate(signature.outputs)],
                    verbose=False,
                    external_data=False,
                ).model_proto
        except Exception as error:
            raise _explained(error, model.path.name) from error
        _final_names(proto.graph, signature)
        _name_axes(proto.graph, program.axes)
        _drop_notes(proto)
        return write_onnx(proto, model, context.workdir / "model.onnx", options, context.note)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of every library that it could have used, and logs tracebacks of attempts."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _explained(error: BaseException, name: str) -> StepError:
    """One line that names the operator: the exporter's own message spans pages."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    texts = [str(cause) for cause in causes]
    found = next((m[1] or m[2] for text in reversed(texts) if (m := _OPERATOR.search(text))), None)
    reason = next((line for line in texts[-1].splitlines() if line.strip()), repr(causes[-1]))
    at = f" at op '{found}'" if found else ""
    return StepError(
        f"torch.onnx cannot convert {name}{at}: {reason.strip()[:300]}",
        "rewrite the model without it, export it anew, or raise convert.opset",
    )


def _final_names(graph: Any, signature: Signature) -> None:
    """Call inputs and outputs as the signature does, and what has such a name inside otherwise."""
    for side, specs in ((graph.input, signature.inputs), (graph.output, signature.outputs)):
        if len(side) != len(specs):
            raise StepError(
                f"torch.onnx wrote {len(side)} tensors ({', '.join(v.name for v in side)}), "
                f"the program has {len(specs)} ({', '.join(s.name for s in specs)})"
            )
    values = [*graph.input, *graph.output]
    final = [spec.name for spec in (*signature.inputs, *signature.outputs)]
    names = {name: f"{name}__inner" for name in final}
    names |= {value.name: name for value, name in zip(values, final, strict=True)}
    rename_tensors(graph, names)


def _name_axes(graph: Any, axes: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.HasField("dim_param"):
                axis.dim_param = re.sub(
                    r"[A-Za-z_]\w*", lambda match: axes.get(match[0], match[0]), axis.dim_param
                )


def _drop_notes(proto: Any) -> None:
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        kept = [(note.key, note.value) for note in node.metadata_props if note.key == _KEPT]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
