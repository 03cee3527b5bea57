"""Simplification with onnxslim: fewer nodes, the same numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import ByteSize, Config, Context, Pass

FOLDED_BATCHNORM = (
    "a BatchNormalization that is folded into a clustered weight multiplies each channel by a factor "
    "of its own, so that it has more distinct values"
)
Part = Literal[
    "constant_folding",
    "graph_fusion",
    "dead_node_elimination",
    "subexpression_elimination",
    "weight_tying",
]


class SimplifyConfig(Config, frozen=True):
    """Options of simplification."""

    skip: Annotated[
        tuple[Part, ...], Meta(description="Kinds of simplification that are left out.")
    ] = ()
    largest_constant: Annotated[
        ByteSize | None,
        Meta(
            description="A result of constants above this size is computed at run time instead, for "
            "folding it would make the file larger; null: no limit."
        ),
    ] = "1 MiB"


class Simplify(Pass):
    """Folds constants, merges equal subexpressions and weights, and takes out nodes without effect.

    ONNX, with onnxslim. Inputs and outputs keep names, order and free axes. Weights in other files are
    neither read nor changed.
    """

    Config = SimplifyConfig
    accepts = frozenset({"onnx"})
    libraries = ("onnxslim", "onnx", "onnxruntime")
    weakens = {"clustered": FOLDED_BATCHNORM}

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx

        from taxiway.model.onnx_file import copy_files, load_graph
        from taxiway.optimize.graph.held import hold_aside, put_back
        from taxiway.optimize.graph.offline import tidy
        from taxiway.optimize.graph.written import written
        from taxiway.safety.onnx_external import external_names

        original = load_graph(model.path)
        proto = onnx.ModelProto.FromString(original.SerializeToString())
        held = hold_aside(proto)
        proto = _slim(proto, options, model)
        put_back(proto, held)
        tidy(proto, original)
        copy_files(model.path.parent, external_names(model.path), context.workdir)
        return written(proto, model, context)


def _slim(proto: Any, options: Any, model: Model) -> Any:
    """What onnxslim makes of the graph. It prints what it does, and keeps its settings in a class."""
    import contextlib
    import sys

    import onnxslim

    from taxiway.plugins.quantity import size_in_bytes

    limit = options.largest_constant
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return onnxslim.slim(
                proto,
                skip_optimizations=list(options.skip) or None,
                size_threshold=size_in_bytes(limit) if limit else None,
            )
    except Exception as error:
        first = (str(error).strip() or repr(error)).splitlines()[0]
        raise StepError(
            f"onnxslim cannot simplify {model.path.name}: {type(error).__name__}: {first}",
            "leave a part out, such as optimize.simplify.skip=[constant_folding], or drop the pass",
        ) from error
