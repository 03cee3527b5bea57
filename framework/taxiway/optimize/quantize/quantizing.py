"""What all quantizing passes share: which operators stay in higher precision, and the fallback that decides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from taxiway.model import Model
from taxiway.optimize.quantize.fallback.config import Fallback
from taxiway.optimize.quantize.operators import Operator, OperatorPattern, Precision, precisions
from taxiway.plugins import Config, Context, Pass, Selection


class QuantizingConfig(Config, frozen=True):
    """Options of every quantizing pass."""

    only: Annotated[
        tuple[OperatorPattern, ...],
        Meta(
            description="Quantize these operators and no others: names, types such as Conv, or "
            "regular expressions over whole names. Empty: all."
        ),
    ] = ()
    exclude: Annotated[
        tuple[OperatorPattern, ...], Meta(description="Leave these operators in float32.")
    ] = ()
    keep: Annotated[
        dict[OperatorPattern, Precision],
        Meta(description="Operators to keep in a precision of their own, such as `{fc: float16}`."),
    ] = {}
    fallback: Annotated[
        Fallback | None,
        Meta(
            description="Repair a loss of accuracy: find the fewest operators that must stay in "
            "higher precision. null: quantize as told and leave the verdict to the gates."
        ),
    ] = None


class Quantizing(Pass):
    """A pass that stores or computes in fewer bits, operator by operator.

    An implementation defines `operators` and `quantize`; `run` is the same for all.
    """

    establishes = frozenset({"quantized"})
    undoes = {
        "quantized": "a weight is quantized once; the second pass would find integers",
        "float16": "its weights are rounded to 11 bits already, and would be rounded again",
        "sparse": "it reads dense weights; sparse storage comes last",
    }
    weakens = {
        "fused": "products inside of a fused operator, such as attention, stay in float: no quantizer "
        "looks into one"
    }

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        """The operators that this implementation would quantize with these options, in graph order."""
        raise NotImplementedError

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        """The quantized model in `context.workdir`, with the operators in `kept` in their precision.

        Called several times by a fallback, with other work folders.
        """
        raise NotImplementedError

    def run(self, model: Model, options: Any, context: Context) -> Model:
        chosen = precisions(
            self.operators(model, options), options.only, options.exclude, options.keep
        )
        if options.fallback is None:
            return self.quantize(model, options, chosen, context)
        from taxiway.optimize.quantize.fallback.search import quantize_with_fallback

        return quantize_with_fallback(self, model, options, chosen, context)

    def lacks(self, path: Path, options: Any) -> tuple[str, ...]:
        """Whether an ONNX file is quantized already; a .tflite does not say it without its tensors."""
        if path.suffix != ".onnx":
            return ()
        from taxiway.model.operators import onnx_operators
        from taxiway.optimize.quantize.onnx.graph import QUANTIZED

        found = sorted({name for _, name in onnx_operators(path)} & {*QUANTIZED})
        return (f"{path.name} is quantized already: it has {', '.join(found)}",) if found else ()

    def reads(self, options: Any) -> tuple[Selection, ...]:
        """What the fallback reads; an implementation adds its calibration samples."""
        fallback: Fallback | None = options.fallback
        return fallback.reads() if fallback else ()


def in_folder(context: Context, folder: Path) -> Context:
    """The same context with another work folder."""
    from dataclasses import replace

    return replace(context, workdir=folder)
