"""What flows into the layers of an ONNX graph, on samples."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model import Model, Signature
from taxiway.optimize.channels.graph import ChannelGraph
from taxiway.optimize.channels.means import Means
from taxiway.optimize.quantize.calibration import Feeds
from taxiway.plugins import Context, Selection


def means(
    proto: Any, signature: Signature, graph: ChannelGraph, selection: Selection, context: Context
) -> list[np.ndarray[Any, Any]]:
    """For each tap the mean absolute value at each place, `[places]`, over the samples of a split.

    The samples are streamed. Raises StepError for values that are not finite.
    """
    import onnx
    import onnxruntime

    from taxiway.model.onnx_file import write_graph

    inputs = {node.name: node.input[0] for node in proto.graph.node}
    tensors = [inputs[tap.layer] for tap in graph.taps]
    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    present = {value.name for value in watched.graph.output}
    asked = list(dict.fromkeys(tensors))
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in asked if name not in present
    )
    feeds = Feeds(Model(format="onnx", path=Path(), signature=signature), selection, context)
    found = Means(len(tensors))
    with TemporaryDirectory() as folder:
        path = write_graph(watched, Path(folder) / "watched.onnx")
        try:
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise StepError(f"ONNX Runtime cannot show what flows through: {error}") from error
    for feed in feeds:
        values = dict(zip(asked, session.run(asked, feed), strict=True))
        for at, (tap, tensor) in enumerate(zip(graph.taps, tensors, strict=True)):
            found.add(at, values[tensor], tap.axis, tap.layer)
    return found.values()
