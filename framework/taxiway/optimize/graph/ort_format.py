"""ONNX Runtime's own format: a graph that is optimized already, for small builds of the runtime."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.graph.offline import HALF, LevelOption
from taxiway.optimize.graph.simplify import FOLDED_BATCHNORM
from taxiway.plugins import Config, Context, Pass


class OrtFormatConfig(Config, frozen=True):
    """Options of ONNX Runtime's own format."""

    level: LevelOption = "extended"


class OrtFormat(Pass):
    """Writes the model as .ort, which a minimal build of ONNX Runtime (mobile, web) can load.

    Nothing rewrites such a file: put it last. The runtime optimizes it no further on the target.
    """

    Config = OrtFormatConfig
    accepts = frozenset({"onnx"})
    produces = "ort"
    libraries = ("onnxruntime", "onnx")
    machine_dependent = True
    establishes = frozenset({"fused"})
    weakens = {"clustered": FOLDED_BATCHNORM, "float16": HALF}

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import tempfile
        from pathlib import Path

        from taxiway.model.onnx_file import MAX_INLINE
        from taxiway.optimize.graph.offline import optimize_offline
        from taxiway.optimize.graph.ort_file import in_one_order
        from taxiway.optimize.result import optimized

        if model.size > MAX_INLINE:
            raise StepError(
                f"the ORT format holds at most 2 GiB in its one file, {model.path.name} has "
                f"{model.size:,} bytes with its weights",
                "drop the pass: '~optimize.ort_format', or quantize the weights before it",
            )
        with tempfile.TemporaryDirectory(dir=context.workdir) as scratch:
            made = optimize_offline(
                model,
                Path(scratch) / "model.ort",
                options.level,
                settings=[("session.save_model_format", "ORT")],
            )
            content = in_one_order(made.read_bytes())
        path = context.workdir / "model.ort"
        path.write_bytes(content)
        result = optimized(model, path, "ort")
        context.tell("graph", {"bytes": {"before": model.size, "after": result.size}})
        return result
