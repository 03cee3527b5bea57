"""scikit-learn -> ONNX: skl2onnx, with probabilities as a tensor."""

from __future__ import annotations

import warnings
from typing import Any

from taxiway.convert.onnx import OnnxConfig
from taxiway.convert.onnx_names import rename_tensors
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Context, Converter

ML_OPSET = 3
"""Of the domain ai.onnx.ml: the newest that skl2onnx 1.20 writes for every estimator."""


class SklearnToOnnx(Converter):
    """skl2onnx, with probabilities as a tensor (no zipmap)."""

    Config = OnnxConfig
    accepts = frozenset({"sklearn"})
    produces = "onnx"
    libraries = ("scikit-learn", "skops", "skl2onnx", "onnx")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from skl2onnx.common.data_types import FloatTensorType

        from taxiway.convert.onnx_result import writable_opset, write_onnx
        from taxiway.model.load_sklearn import load_sklearn

        estimator = load_sklearn(model.path)
        (x,) = model.signature.inputs
        try:
            proto = _converted(
                estimator.fitted,
                estimator.kind == "classifier",
                [(x.name, FloatTensorType([None, x.shape[1]]))],
                {"": writable_opset(options), "ai.onnx.ml": ML_OPSET},
            )
        except Exception as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
            raise StepError(
                f"skl2onnx cannot convert the {type(estimator.fitted).__name__} in "
                f"{model.path.name}: {reason.strip()}",
                "skl2onnx lists what it converts: "
                "python -c 'import skl2onnx; print(skl2onnx.supported_converters())'",
            ) from error
        _one_entry_per_domain(proto)
        _as_the_signature(proto.graph, model)
        return write_onnx(proto, model, context.workdir / "model.onnx", options, context.note)


def _converted(fitted: Any, classifier: bool, inputs: list[Any], opsets: dict[str, int]) -> Any:
    import skl2onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for options in _options(fitted) if classifier else ():
            try:
                return skl2onnx.to_onnx(
                    fitted, initial_types=inputs, options=options, target_opset=opsets
                )
            except NameError:
                # skl2onnx's word for an option that the estimator's converter does not have.
                continue
        return skl2onnx.to_onnx(fitted, initial_types=inputs, target_opset=opsets)


def _options(fitted: Any) -> list[dict[int, dict[str, Any]]]:
    """Options that give scores as a tensor, [negative, positive] where there are two classes."""
    plain: dict[str, Any] = {"zipmap": False}
    if hasattr(fitted, "predict_proba"):
        return [{id(fitted): plain}]
    last = fitted
    while hasattr(last, "steps") or hasattr(last, "best_estimator_"):
        last = last.steps[-1][1] if hasattr(last, "steps") else last.best_estimator_
    raw: dict[str, Any] = {"raw_scores": True}
    tries = [{id(last): plain | raw}, {id(last): raw}]
    if last is not fitted:
        tries.insert(0, {id(fitted): plain, id(last): plain | raw})
    return [*tries, {id(fitted): plain}]


def _as_the_signature(graph: Any, model: Model) -> None:
    """Names and widths of the outputs: a few converters of skl2onnx have names of their own, and
    some note a width that they do not write."""
    specs = model.signature.outputs
    if len(graph.output) != len(specs):
        return
    names = {spec.name: f"{spec.name}__inner" for spec in specs}
    names |= {value.name: spec.name for value, spec in zip(graph.output, specs, strict=True)}
    rename_tensors(graph, names)
    for value, spec in zip(graph.output, specs, strict=True):
        dims = value.type.tensor_type.shape.dim
        # Another rank is no note but the estimator's converter at fault: it stays, and is refused.
        for dim, axis in (
            zip(dims, spec.shape, strict=False) if len(dims) == len(spec.shape) else ()
        ):
            if isinstance(axis, int):
                dim.dim_value = axis
            else:
                dim.dim_param = axis


def _one_entry_per_domain(proto: Any) -> None:
    """skl2onnx notes a domain once for each part of a pipeline."""
    versions: dict[str, int] = {}
    for entry in proto.opset_import:
        versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
    del proto.opset_import[:]
    for domain, version in sorted(versions.items()):
        proto.opset_import.add(domain=domain, version=version)
