"""ONNX Runtime's own optimizers, run once here, so that a target does not run them at every start.

https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.onnx_graph import nodes_of

HALF = (
    "ONNX Runtime writes the graph as a CPU runs it: where that has no half precision, it computes in "
    "float32, and weights of convolutions are stored so again"
)
Level = Literal["basic", "extended", "all"]
LEVEL = Meta(
    description="basic: ONNX Runtime's fusions that keep to standard ONNX. extended: with operators of its own "
    "(com.microsoft), for any CPU. all: with memory layouts of this machine's kind of CPU, too."
)
LevelOption = Annotated[Level, LEVEL]


def optimize_offline(
    model: Model,
    path: Path,
    level: Level,
    disabled: Sequence[str] = (),
    settings: Sequence[tuple[str, str]] = (),
) -> Path:
    """Load `model`, a file in ONNX, in ONNX Runtime, and let it write what it made of the graph to `path`.

    disabled: its optimizers that are left out, by name. settings: session options by key. Weights in
    other files stay there: the runtime maps them and writes them to `WEIGHTS` beside the result.
    Raises StepError with what the runtime says.
    """
    import onnxruntime

    from taxiway.model.onnx_file import LARGE, MAX_INLINE, WEIGHTS, load_graph
    from taxiway.model.runners.onnx_runner import session_options
    from taxiway.optimize.graph.held import narrow
    from taxiway.safety.onnx_external import external_names

    levels = onnxruntime.GraphOptimizationLevel
    options = session_options(1)
    options.graph_optimization_level = getattr(levels, f"ORT_ENABLE_{level.upper()}")
    options.optimized_model_filepath = str(path)
    left_out = list(disabled)
    if path.suffix == ".onnx" and (external_names(model.path) or model.size > MAX_INLINE):
        key = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{key}file_name", WEIGHTS)
        options.add_session_config_entry(f"{key}min_size_in_bytes", "1024")
    if narrow(load_graph(model.path).graph):
        left_out.append("ConstantFolding")
    if model.size > LARGE:
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.enable_cpu_mem_arena = False
        left_out.append("ConstantFolding")
    for name, value in settings:
        options.add_session_config_entry(name, value)
    try:
        onnxruntime.InferenceSession(
            str(model.path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=left_out,
        )
    except Exception as error:
        raise StepError(f"ONNX Runtime cannot optimize {model.path.name}: {error}") from error
    return path


def tidy(proto: Any, original: Any) -> None:
    """Give an optimized graph the inputs, the outputs and the metadata of the one it came from, no
    operator sets that it does not use, and no shapes noted in between: every runtime finds them anew."""
    del proto.graph.value_info[:]
    used = {node.domain or "" for node in nodes_of(proto.graph)} | {""}
    used |= {node.domain or "" for function in proto.functions for node in function.node}
    versions = {entry.domain: entry for entry in proto.opset_import}
    kept = [versions[domain] for domain in sorted(used & {*versions})]
    copies = [type(entry).FromString(entry.SerializeToString()) for entry in kept]
    del proto.opset_import[:]
    proto.opset_import.extend(copies)
    constants = {tensor.name for tensor in original.graph.initializer}
    inputs = [value for value in original.graph.input if value.name not in constants]
    del proto.graph.input[:], proto.graph.output[:]
    proto.graph.input.extend(inputs)
    proto.graph.output.extend(original.graph.output)
    # Since IR version 4 an initializer need not be an input, too (docs/IR.md of ONNX).
    proto.ir_version = max(proto.ir_version, 4)
    proto.producer_name, proto.producer_version = original.producer_name, original.producer_version
    proto.graph.name, proto.graph.doc_string = original.graph.name, original.graph.doc_string
