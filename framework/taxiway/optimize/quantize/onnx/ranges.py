"""Ranges of the values inside an ONNX model, measured on a stream of samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError, TaxiwayError
from taxiway.model import Model

if TYPE_CHECKING:
    from taxiway.optimize.quantize.calibration import Feed
    from taxiway.optimize.quantize.histogram import Histogram
    from taxiway.optimize.quantize.static import Calibration

PREFIX = "taxiway_range"


@dataclass(frozen=True)
class Ranges:
    """Lowest and highest value by tensor; `broken`: tensors in which NaN or Inf was seen."""

    by_tensor: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    broken: tuple[str, ...] = ()


def measure(
    proto: Any,
    tensors: Sequence[str],
    feeds: Iterable[Feed],
    calibration: Calibration,
    bits: int,
    model: Model,
) -> Ranges:
    """Run the model on each feed and watch `tensors`, float values of its main graph.

    Memory: one feed's activations, whatever the number of feeds; minmax reduces them inside the
    graph. bits: of an activation. Raises StepError where the model does not run on a feed.
    """
    if calibration.method == "minmax":
        return _extremes(proto, tensors, feeds, model)
    return _spreads(proto, tensors, feeds, calibration, bits, model)


def _extremes(proto: Any, tensors: Sequence[str], feeds: Iterable[Feed], model: Model) -> Ranges:
    from onnx import helper

    nodes, outputs = [], []
    for index, name in enumerate(tensors):
        low, high, zero, sign = (f"{PREFIX}_{index}_{what}" for what in ("low", "high", "0", "nan"))
        nodes += [
            helper.make_node("ReduceMin", [name], [low], keepdims=1),
            helper.make_node("ReduceMax", [name], [high], keepdims=1),
            # x - x is 0, and NaN where x is NaN or Inf; a minimum may hide one.
            helper.make_node("Sub", [name, name], [zero]),
            helper.make_node("ReduceSum", [zero], [sign], keepdims=1),
        ]
        outputs += [low, high, sign]
    lows, highs = [math.inf] * len(tensors), [-math.inf] * len(tensors)
    broken = set()
    for values in _run(proto, nodes, outputs, feeds, model):
        for index in range(len(tensors)):
            low, high, sign = values[3 * index : 3 * index + 3]
            if not low.size:
                continue
            if sign.item() != 0:
                broken.add(tensors[index])
                continue
            lows[index] = min(lows[index], low.item())
            highs[index] = max(highs[index], high.item())
    found = {
        name: (low, high)
        for name, low, high in zip(tensors, lows, highs, strict=True)
        if low <= high
    }
    return Ranges(found, tuple(name for name in tensors if name in broken))


def _spreads(
    proto: Any,
    tensors: Sequence[str],
    feeds: Iterable[Feed],
    calibration: Calibration,
    bits: int,
    model: Model,
) -> Ranges:
    from taxiway.optimize.quantize.histogram import Histogram

    found = {name: Histogram() for name in tensors}
    for values in _run(proto, [], list(tensors), feeds, model):
        for histogram, value in zip(found.values(), values, strict=True):
            histogram.add(value)
    return Ranges(
        {
            name: _range(histogram, calibration, bits)
            for name, histogram in found.items()
            if histogram.lowest <= histogram.highest
        },
        tuple(name for name, histogram in found.items() if not histogram.finite),
    )


def _range(found: Histogram, calibration: Calibration, bits: int) -> tuple[float, float]:
    from taxiway.optimize.quantize import histogram

    if calibration.method == "percentile":
        return histogram.percentile(found, calibration.percentile)
    method = {"entropy": histogram.entropy, "distribution": histogram.distribution}
    return method[calibration.method](found, bits)


def _run(
    proto: Any, nodes: Sequence[Any], outputs: Sequence[str], feeds: Iterable[Feed], model: Model
) -> Iterable[list[Any]]:
    """The named values after each feed, from the graph with `nodes` added at its end."""
    import onnx
    import onnxruntime

    from taxiway.model.onnx_file import write_graph

    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    given = {value.name: value for value in (*watched.graph.value_info, *watched.graph.output)}
    given |= {value.name: value for value in watched.graph.input}
    watched.graph.node.extend(nodes)
    del watched.graph.output[:]
    watched.graph.output.extend(
        given.get(name) or onnx.ValueInfoProto(name=name) for name in outputs
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    with TemporaryDirectory() as folder:
        path = write_graph(watched, Path(folder) / "watched.onnx")
        del watched
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            for feed in feeds:
                yield session.run(list(outputs), feed)
        except TaxiwayError:
            raise
        except Exception as error:
            raise StepError(f"{model.path.name} does not run on the samples: {error}") from error
