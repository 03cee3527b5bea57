"""Where a graph has the channels of its images: at its ends, and the transposes in between."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Layout, Model
from taxiway.plugins import Config, Context, Pass

OTHERS = (
    *("Level1_RuleBasedTransformer", "ConstantFolding", "ConstantSharing", "MatMulAddFusion"),
    *("CommonSubexpressionElimination", "ReshapeFusion", "QDQPropagationTransformer"),
    *("EnsureUniqueDQForNodeUnit", "WeightBiasQuantization", "DoubleQDQPairsRemover"),
    *(
        "GeluFusionL1",
        "LayerNormFusionL1",
        "ConcatSliceElimination",
        "FreeDimensionOverrideTransformer",
    ),
    *("PropagateCastOps", "MatmulTransposeFusion", "BiasGeluFusion", "WhereDummyDq"),
)
"""ONNX Runtime's optimizers of the basic level beside the one of transposes
(onnxruntime/core/optimizer/graph_transformer_utils.cc)."""


class LayoutConfig(Config, frozen=True):
    """Options of the layout."""

    io: Annotated[
        Layout | None,
        Meta(
            description="Where images (rank 4) and volumes (rank 5) have their channels at the inputs "
            "and outputs; null leaves them. Data stays in the source's order."
        ),
    ] = None


class LayoutPass(Pass):
    """Moves the channels at a model's ends, and takes out transposes that cancel each other.

    ONNX. A Transpose is pushed through operators that do not mind, by ONNX Runtime's optimizer of
    transposes alone, until it meets its inverse. `convert.io_layout` does the same at the ends, as part
    of a conversion.
    """

    Config = LayoutConfig
    accepts = frozenset({"onnx"})
    libraries = ("onnxruntime", "onnx")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import tempfile
        from pathlib import Path

        from taxiway.model.inspect import describe
        from taxiway.model.onnx_file import copy_files, load_graph, write_beside
        from taxiway.model.onnx_layout import lay_out
        from taxiway.optimize.graph.changes import operators
        from taxiway.optimize.graph.offline import optimize_offline, tidy
        from taxiway.optimize.graph.written import written
        from taxiway.safety.onnx_model import external_files

        proto = load_graph(model.path)
        wanted = model
        if options.io:
            signature = lay_out(proto.graph, model.signature, options.io, "optimize.layout.io")
            wanted = replace(model, signature=signature)
        with tempfile.TemporaryDirectory(dir=context.workdir) as scratch:
            (Path(scratch) / "moved").mkdir()
            moved = write_beside(proto, model.path, Path(scratch) / "moved")
            path = optimize_offline(
                describe(moved, "onnx"), Path(scratch) / "optimized.onnx", "basic", OTHERS
            )
            before = operators(moved)["Transpose"]
            if operators(path)["Transpose"] < before:
                cancelled = load_graph(path)
                tidy(cancelled, proto)
                proto = cancelled
            else:
                path = moved
            copy_files(path.parent, external_files(proto), context.workdir)
        if wanted.signature == model.signature and path == moved:
            raise StepError(
                f"nothing moved in {model.path.name}: "
                + (f"its ends are {options.io} already and " if options.io else "")
                + f"none of its {before} transposes meets its inverse",
                "drop the pass: '~optimize.layout'",
            )
        return written(proto, wanted, context)
