"""The text of a starter recipe: what is known of the model is filled in, the rest is a comment."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.author.starter_data import Array, Guess, is_real
from taxiway.compose.assets import asset
from taxiway.model import FORMATS, Format, Model, TensorSpec
from taxiway.plugins import registry

BUNDLES: dict[Format, str] = {"tflite": "litert_bundle", "onnx": "onnxruntime_bundle"}
"""Format of the result -> the deploy plugin for it."""
_QUANTIZED_OPS = rb"QuantizeLinear|QLinear(Conv|MatMul)|(Conv|MatMul)Integer"
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_DATA_HINT = """\
# With labelled samples in a NumPy archive the recipe can quantize, measure and deploy. Add these
# lines to the defaults list, and the section below:
#   - data: npz
#   - optimize: [{optimize}]
#   - evaluate: classification
#   - deploy: {bundle}
# data:
#   path: data/samples.npz
#   inputs: x        # an array of samples, or a mapping: model input -> array
#   labels: y        # an array of class numbers
# evaluate:
#   gates:
#     accuracy: {{max_drop: 1 pt}}
"""


@dataclass(frozen=True)
class Starter:
    """model_path, data_path: as the recipe writes them, relative to its folder."""

    name: str
    model: Model
    target: Format
    model_path: str
    data_path: str | None = None
    guess: Guess | None = None

    def text(self) -> str:
        """The recipe, ready to be written."""
        return "\n".join([*self._head(), *self._defaults(), *self._body()]) + "\n"

    @property
    def _float(self) -> bool:
        """Whether the model surely has float tensors to quantize: a TFLite signature tells too little,
        and the trees and linear models of scikit-learn have none that ONNX Runtime quantizes."""
        if self.model.format == "onnx":
            return not _holds_quantized_ops(self.model.path)
        return self.model.format not in ("tflite", "sklearn")

    @property
    def _converts(self) -> bool:
        return self.model.format != self.target

    @property
    def _quantization(self) -> str:
        """Static quantization suits networks of real inputs; dynamic those of token ids."""
        real = all(is_real(spec) for spec in self.model.signature.inputs)
        return "quantize_static" if real else "quantize_dynamic"

    @property
    def _measurable(self) -> bool:
        """Whether there are labels, and the first output has one row of scores per sample."""
        outputs = self.model.signature.outputs
        scores = bool(outputs) and all(axis == 1 for axis in outputs[0].shape[1:-1])
        return bool(self.guess and self.guess.labels and scores)

    def _head(self) -> Iterator[str]:
        signature = self.model.signature
        yield f"# yaml-language-server: $schema={asset('schemas') / 'recipe.schema.json'}"
        source, target = FORMATS[self.model.format], FORMATS[self.target]
        yield f"# {self.name}: from {source} to {target}."
        for word, specs in (("takes", signature.inputs), ("gives", signature.outputs)):
            for spec in specs:
                yield f"# The model {word} {_comment(_shown(spec))}"

    def _defaults(self) -> Iterator[str]:
        yield "defaults:"
        yield "  - base"
        yield f"  - source: {self.model.format}"
        if self.guess:
            yield "  - data: npz"
        if self._converts:
            yield f"  - convert: {self.target}"
        if self.guess:
            unsure = "" if self._float else "# "
            why = "" if self._float else "   # for a model that is not quantized yet"
            yield f"  {unsure}- optimize: [{self._quantization}]{why}"
        if self._measurable:
            yield "  - evaluate: classification"
        if self.guess:
            yield f"  - deploy: {BUNDLES[self.target]}"
        yield "  - _self_"
        yield ""

    def _calibration(self, guess: Guess) -> Iterator[str]:
        """Fewer calibration samples than usual, where the data has no more."""
        rows = guess.calibration_rows
        if self._float and self._quantization == "quantize_static" and rows < _usual_samples():
            yield "optimize:"
            yield "  quantize_static:"
            yield f"    calibration: {{samples: {max(1, rows)}}}"

    def _body(self) -> Iterator[str]:
        yield f"name: {scalar(self.name)}"
        yield ""
        yield "source:"
        yield f"  path: {scalar(self.model_path)}"
        if not self.guess or self.data_path is None:
            if self._converts:
                yield "parity:"
                yield "  # Without data the conversion is proven on random inputs: a weaker proof."
                yield "  allow_random: true"
            yield ""
            yield _DATA_HINT.format(
                optimize=self._quantization, bundle=BUNDLES[self.target]
            ).rstrip()
            return
        yield "data:"
        yield f"  path: {scalar(self.data_path)}"
        yield from _data(self.guess, self.model)
        yield from self._calibration(self.guess)
        if self._measurable:
            yield "evaluate:"
            yield "  gates:"
            yield "    accuracy: {max_drop: 1 pt}"
            yield "    # latency_p95: {max: 2 ms}"
            yield "    # size: {max: 200 KiB}"
        else:
            yield "# To measure accuracy, add `- evaluate: classification` to the defaults list"
            yield "# It takes labels, and a model that gives one row of class scores per sample."


def _data(guess: Guess, model: Model) -> Iterator[str]:
    yield "  # Guessed from shapes and names; check them."
    labels = scalar(guess.labels.name) if guess.labels else "null"
    if guess.calibration:
        yield "  splits:"
        yield f"    calibration: {{inputs: {_names(guess.calibration)}}}"
        with_labels = f", labels: {labels}" if guess.labels else ""
        yield f"    test: {{inputs: {_names(guess.inputs)}{with_labels}}}"
    else:
        yield f"  inputs: {_names(guess.inputs)}"
        yield f"  labels: {labels}"
    dtype = _dtype(model)
    if dtype != "float32":
        yield f"  dtype: {dtype}"
    elif any(array.kind in "iu" for array in guess.inputs.values()):
        yield "  # The model gets scale * stored + offset; set them as in training."
        yield "  # scale: 0.00392156862745098   # 0..255 to 0..1"
        yield "  # offset: 0"


def _names(arrays: Mapping[str, Array]) -> str:
    if len(arrays) == 1:
        return scalar(next(iter(arrays.values())).name)
    return "{" + ", ".join(f"{_quoted(name)}: {scalar(a.name)}" for name, a in arrays.items()) + "}"


def _dtype(model: Model) -> str:
    """The data plugin's dtype: what all inputs take, else each array as it is stored."""
    kinds = {"float32" if is_real(spec) else spec.dtype for spec in model.signature.inputs}
    kind = kinds.pop()
    return kind if not kinds and kind in ("float32", "int32", "int64") else "keep"


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT else json.dumps(text)


def scalar(text: str) -> str:
    """Text as a YAML value that is no other type, and no interpolation."""
    return _quoted(text.replace("${", "\\${"))


def _shown(spec: TensorSpec) -> str:
    return f"{spec}, quantized" if spec.quantized else str(spec)


def _comment(text: str) -> str:
    """One line, whatever a model's author named a tensor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _usual_samples() -> int:
    """The default of quantize_static's option calibration.samples."""
    config: Any = registry().get("optimize", "quantize_static").step.Config
    return int(config().calibration.samples)


def _holds_quantized_ops(path: Path) -> bool:
    """Whether an ONNX file names an operator of quantized models (ONNX operator schemas)."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return re.search(_QUANTIZED_OPS, content) is not None


def recipe_name(path: Path) -> str:
    """A recipe's name from a model's file name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.resolve().stem).strip("_-")
    return name[:64] or "model"
