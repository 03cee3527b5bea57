"""Reads the signature of a model on disk with the library of its format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taxiway.errors import StepError
from taxiway.model.load_keras import load_keras
from taxiway.model.load_saved_model import choose_signature, natural_key, read_signature
from taxiway.model.model import FORMATS, Format, Model, Signature, TensorSpec

UNKNOWN_RANK = ("...",)
"""The shape of a tensor whose number of axes the model does not say."""


def describe(path: Path, format: Format, trust: str | None = None) -> Model:
    """The model at `path` with its signature.

    Free axes get their name in the file, else `batch` (axis 0) or `dim_N`. Raises StepError where
    the file cannot be read as `format`. trust: SHA-256 of a Keras file whose stored code may run.
    """
    readers = {
        "onnx": _onnx,
        "tflite": _tflite,
        "ort": _ort,
        "saved_model": _saved_model,
        "keras": _keras,
        "torch": _torch,
        "sklearn": _sklearn,
    }
    if format not in readers:
        raise StepError(f"unknown model format '{format}'", f"formats: {', '.join(FORMATS)}")
    signature = keras_signature(load_keras(path, trust)) if trust else readers[format](path)
    return Model(format=format, path=path, signature=signature, trusted=trust)


def _shape(axes: Iterable[int | str | None]) -> tuple[int | str, ...]:
    """Axes with a name for each free one (None, negative or empty)."""
    return tuple(
        axis if axis or axis == 0 else ("batch" if at == 0 else f"dim_{at}")
        for at, axis in enumerate(None if isinstance(a, int) and a < 0 else a for a in axes)
    )


def _onnx(path: Path) -> Signature:
    import onnx

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:
        raise StepError(f"{path.name} is no readable ONNX model: {error}") from error
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {tensor.values.name for tensor in graph.sparse_initializer}

    def spec(value: Any) -> TensorSpec:
        try:
            dtype, tensor = onnx_type(value.type)
        except ValueError as error:
            raise StepError(
                f"'{value.name}' of {path.name} is of type {error}, expected a tensor",
                "export it with tensor outputs (scikit-learn: options={'zipmap': False})",
            ) from error
        axes = [axis.dim_param or axis.dim_value or None for axis in tensor.shape.dim]
        known = tensor.HasField("shape") and "(" not in dtype
        return TensorSpec(
            name=value.name, dtype=dtype, shape=_shape(axes) if known else UNKNOWN_RANK
        )

    return Signature(
        inputs=tuple(spec(value) for value in graph.input if value.name not in constants),
        outputs=tuple(spec(value) for value in graph.output),
    )


def _ort(path: Path) -> Signature:
    """As ONNX Runtime reads it: the file's tables are its own."""
    import onnxruntime

    from taxiway.model.runners.onnx_runner import session_options

    try:
        session = onnxruntime.InferenceSession(
            str(path), session_options(1), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise StepError(f"{path.name} is no readable ORT model: {error}") from error

    def spec(value: Any) -> TensorSpec:
        return TensorSpec(name=value.name, dtype=_ort_dtype(value.type), shape=_shape(value.shape))

    return Signature(
        inputs=tuple(map(spec, session.get_inputs())),
        outputs=tuple(map(spec, session.get_outputs())),
    )


_ORT_NAMES = {"float": "float32", "double": "float64", "string": "str"}


def _ort_dtype(name: str) -> str:
    """The dtype of an ONNX Runtime type such as `tensor(float)` or `seq(tensor(int64))`."""
    for kind, ours in (("seq", "sequence"), ("optional", "optional")):
        if name.startswith(f"{kind}("):
            return f"{ours}({_ort_dtype(name[len(kind) + 1 : -1])})"
    element = name.removeprefix("tensor(").removesuffix(")")
    return _ORT_NAMES.get(element, element)


def onnx_type(type_: Any) -> tuple[str, Any]:
    """The dtype of an onnx.TypeProto, as TensorSpec has it, and the type of its tensors.

    Raises ValueError that names the kind where it holds no tensors, or not directly (maps).
    """
    import onnx

    kind = type_.WhichOneof("value")
    if kind == "tensor_type":
        dtype = onnx.helper.tensor_dtype_to_np_dtype(type_.tensor_type.elem_type).name
        return "str" if dtype == "object" else dtype, type_.tensor_type
    if kind in ("sequence_type", "optional_type"):
        inner, tensor = onnx_type(getattr(type_, kind).elem_type)
        return f"{kind.removesuffix('_type')}({inner})", tensor
    raise ValueError(kind)


def tflite_tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Details of inputs and of outputs by name, and the signature they come from.

    Names are those of the signature where the file has one, else those of the tensors.
    """
    signatures = interpreter.get_signature_list()
    if not signatures:
        tensors = (interpreter.get_input_details(), interpreter.get_output_details())
        inputs, outputs = ({detail["name"]: detail for detail in side} for side in tensors)
        return inputs, outputs, None
    key = choose_signature(signatures)
    runner = interpreter.get_signature_runner(key)
    inputs, outputs = (
        {name: details[name] for name in sorted(details, key=natural_key)}
        for details in (runner.get_input_details(), runner.get_output_details())
    )
    return inputs, outputs, key


def _tflite(path: Path) -> Signature:
    from ai_edge_litert.interpreter import Interpreter

    def spec(name: str, detail: dict[str, Any]) -> TensorSpec:
        quantization = detail["quantization_parameters"]
        affine = len(quantization["scales"]) == 1 and detail["dtype"].__name__.startswith(
            ("int", "uint")
        )
        return TensorSpec(
            name=name,
            dtype={"bytes_": "str", "object_": "str"}.get(
                detail["dtype"].__name__, detail["dtype"].__name__
            ),
            shape=_shape(map(int, detail["shape_signature"])),
            scale=float(quantization["scales"][0]) if affine else None,
            zero_point=int(quantization["zero_points"][0]) if affine else None,
        )

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
    except Exception as error:
        raise StepError(f"LiteRT cannot read {path.name}: {error}") from error
    inputs, outputs, _ = tflite_tensors(interpreter)
    return Signature(
        inputs=tuple(spec(*item) for item in inputs.items()),
        outputs=tuple(spec(*item) for item in outputs.items()),
    )


def _dtype_name(dtype: Any) -> str:
    name = str(getattr(dtype, "name", dtype))
    return "str" if name == "string" else name


def _tensorflow_spec(name: str, tensor: Any) -> TensorSpec:
    rank = getattr(tensor.shape, "rank", 0)
    axes = UNKNOWN_RANK if rank is None else tuple(tensor.shape)
    return TensorSpec(name=name, dtype=_dtype_name(tensor.dtype), shape=_shape(axes))


def _saved_model(path: Path) -> Signature:
    """From the signature as the file notes it: to load its variables takes as long as to convert."""
    import tensorflow as tf

    signature = read_signature(path)

    def spec(name: str, noted: Any) -> TensorSpec:
        unknown = noted.tensor_shape.unknown_rank
        axes = UNKNOWN_RANK if unknown else [dim.size for dim in noted.tensor_shape.dim]
        return TensorSpec(
            name=name, dtype=_dtype_name(tf.dtypes.as_dtype(noted.dtype)), shape=_shape(axes)
        )

    inputs, outputs = (
        tuple(spec(name, side[name]) for name in sorted(side, key=natural_key))
        for side in (signature.inputs, signature.outputs)
    )
    return Signature(inputs=inputs, outputs=outputs)


def _torch(path: Path) -> Signature:
    from taxiway.model.load_torch import load_torch

    return load_torch(path).signature


def _sklearn(path: Path) -> Signature:
    from taxiway.model.load_sklearn import load_sklearn

    return load_sklearn(path).signature


def _keras(path: Path) -> Signature:
    return keras_signature(load_keras(path))


def keras_signature(model: Any) -> Signature:
    """The signature of a loaded Keras 3 or tf_keras model.

    Inputs are named by their tensors, as an export names them; outputs by the key of a dict
    output, else by the layer that gives them. Raises StepError for a model without fixed inputs.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise StepError(
            f"Keras model '{model.name}' does not say its inputs",
            "build it with keras.Input, as Functional or Sequential, and save it again",
        )
    # A structure may be a single symbolic tensor, which has no truth value.
    structure = getattr(model, "_outputs_struct", getattr(model, "_nested_outputs", None))
    layers = getattr(model, "output_names", None) or [model.layers[-1].name]
    names = sorted(structure) if isinstance(structure, dict) else list(layers)
    if len(set(names)) != len(outputs):
        names = [f"output_{at}" for at in range(len(outputs))]
    return Signature(
        inputs=tuple(_tensorflow_spec(tensor.name, tensor) for tensor in inputs),
        outputs=tuple(map(_tensorflow_spec, names, outputs)),
    )
