"""Fusion: operators that follow each other become one, by ONNX Runtime's optimizers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.model import Model
from taxiway.optimize.graph.offline import HALF, Level, LevelOption
from taxiway.optimize.graph.simplify import FOLDED_BATCHNORM
from taxiway.plugins import Config, Context, Pass

Architecture = Literal[
    "auto", "none", "bert", "bert_tf", "gpt2", "vit", "swin", "t5", "bart", "clip"
]


class FuseConfig(Config, frozen=True):
    """Options of fusion."""

    level: LevelOption = "basic"
    transformer: Annotated[
        Architecture,
        Meta(
            description="Whose patterns of attention, normalization and GELU are looked for; they become operators of "
            "ONNX Runtime alone (com.microsoft). auto: bert, where the graph has attention. none: no such pattern."
        ),
    ] = "auto"
    heads: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Attention heads of a transformer; null: found from the graph."),
    ] = None
    hidden_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Width of a transformer; null: found from the graph."),
    ] = None


class Fuse(Pass):
    """Merges operators once here, so that a target does not do it at every start, or could not at all.

    ONNX, with ONNX Runtime's offline optimization and its transformer optimizer. A transformer's fused
    operators run in ONNX Runtime alone.
    """

    Config = FuseConfig
    accepts = frozenset({"onnx"})
    libraries = ("onnxruntime", "onnx")
    # Level `all` writes memory layouts that fit this CPU.
    machine_dependent = True
    establishes = frozenset({"fused"})
    weakens = {"clustered": FOLDED_BATCHNORM, "float16": HALF}

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import tempfile
        from pathlib import Path

        from taxiway.model.onnx_file import WEIGHTS, copy_files, load_graph
        from taxiway.optimize.graph.attention import has_attention
        from taxiway.optimize.graph.offline import optimize_offline, tidy
        from taxiway.optimize.graph.transformer import fuse_transformer
        from taxiway.optimize.graph.written import require_fewer, written
        from taxiway.safety.onnx_model import external_files

        original = load_graph(model.path)
        architecture = options.transformer
        if architecture == "auto":
            architecture = "bert" if has_attention(original.graph) else "none"
        level: Level = options.level
        with tempfile.TemporaryDirectory(dir=context.workdir) as scratch:
            path = optimize_offline(model, Path(scratch) / "optimized.onnx", level)
            proto = load_graph(path)
            if architecture != "none":
                proto = fuse_transformer(
                    proto, path, architecture, options.heads, options.hidden_size
                )
            tidy(proto, original)
            copy_files(path.parent, set(external_files(proto)) & {WEIGHTS}, context.workdir)
        return require_fewer(
            model.path,
            written(proto, model, context),
            "nothing was fused: ONNX Runtime finds no operators to merge",
            "drop the pass: '~optimize.fuse', or try optimize.fuse.level=extended",
        )
