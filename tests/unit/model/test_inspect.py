from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from taxiway.errors import StepError
from taxiway.model.inspect import UNKNOWN_RANK, describe
from taxiway.model.load_saved_model import choose_signature, natural_key


def onnx_with_input(path: Path, value: Any) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value, helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])],
    )
    save(helper.make_model(graph), str(path))
    return path


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ([None, 3, None], ("batch", 3, "dim_2")),
        (["N", "frames", 10], ("N", "frames", 10)),
        ([-1, 0], ("batch", "dim_1")),
        ([4, 2], (4, 2)),
        ([], ()),
        (None, UNKNOWN_RANK),
    ],
    ids=str,
)
def test_onnx_shapes(tmp_path: Path, axes: list[Any] | None, shape: tuple[Any, ...]) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.INT64, axes)
    signature = describe(onnx_with_input(tmp_path / "m.onnx", value), "onnx").signature
    assert [(s.name, s.dtype, s.shape) for s in signature.inputs] == [("x", "int64", shape)]
    assert signature.outputs[0].shape == UNKNOWN_RANK


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TensorProto.FLOAT16, "float16"),
        (TensorProto.STRING, "str"),
        (TensorProto.BFLOAT16, "bfloat16"),
        (TensorProto.BOOL, "bool"),
    ],
    ids=str,
)
def test_onnx_dtypes(tmp_path: Path, kind: int, name: str) -> None:
    value = helper.make_tensor_value_info("x", kind, [1])
    model = describe(onnx_with_input(tmp_path / "m.onnx", value), "onnx")
    assert model.signature.inputs[0].dtype == name


_TENSOR = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
_SEQUENCE = helper.make_sequence_type_proto(_TENSOR)


@pytest.mark.parametrize(
    ("type_", "dtype"),
    [
        (_SEQUENCE, "sequence(float32)"),
        (helper.make_optional_type_proto(_TENSOR), "optional(float32)"),
        (helper.make_optional_type_proto(_SEQUENCE), "optional(sequence(float32))"),
    ],
    ids=["sequence", "optional", "optional sequence"],
)
def test_onnx_values_that_are_no_tensors(tmp_path: Path, type_: object, dtype: str) -> None:
    value = helper.make_value_info("x", type_)
    (spec,) = describe(onnx_with_input(tmp_path / "m.onnx", value), "onnx").signature.inputs
    assert (spec.dtype, spec.shape, spec.is_tensor) == (dtype, UNKNOWN_RANK, False)


def test_onnx_map_is_refused(tmp_path: Path) -> None:
    kind = helper.make_map_type_proto(TensorProto.INT64, _TENSOR)
    value = helper.make_value_info("x", helper.make_sequence_type_proto(kind))
    with pytest.raises(StepError, match=r"'x' of m\.onnx is of type map_type"):
        describe(onnx_with_input(tmp_path / "m.onnx", value), "onnx")


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_damaged_file(tmp_path: Path, format: str) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"junk that is no model")
    with pytest.raises(StepError, match="read"):
        describe(path, format)


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="unknown model format 'gguf'"):
        describe(tmp_path, "gguf")


def test_reference_tflite(mlperf_tiny: Path) -> None:
    signature = describe(mlperf_tiny / "kws/vendor_int8.tflite", "tflite").signature
    (given,), (taken,) = signature.inputs, signature.outputs
    assert (given.dtype, given.shape, given.zero_point) == ("int8", ("batch", 49, 10, 1), 83)
    assert given.scale == pytest.approx(0.5847029)
    assert (taken.scale, taken.zero_point) == (1 / 256, -128)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "format", "said"),
    [
        ("kws/saved_model", "saved_model", "input_1: float32[batch, 49, 10, 1]"),
        ("ic/resnet8.h5", "keras", "input_1: float32[batch, 32, 32, 3]"),
        ("vww/mobilenet_v1_025_96.h5", "keras", "input_1: float32[batch, 96, 96, 3]"),
    ],
)
def test_reference_tensorflow(mlperf_tiny: Path, name: str, format: str, said: str) -> None:
    model = describe(mlperf_tiny / name, format)
    assert [str(spec) for spec in model.signature.inputs] == [said]


@pytest.mark.slow
def test_keras_and_its_export_agree_on_names(tmp_path: Path) -> None:
    import keras

    ids = keras.Input((None,), dtype="int32", name="ids")
    image = keras.Input((8, 8, 3), name="image")
    text = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 4)(ids))
    outputs = {"b": keras.layers.Dense(2)(text), "a": keras.layers.Flatten()(image)}
    built = keras.Model([ids, image], outputs)
    built.save(tmp_path / "m.keras")
    built.export(tmp_path / "saved", verbose=False)
    file = describe(tmp_path / "m.keras", "keras").signature
    export = describe(tmp_path / "saved", "saved_model").signature
    assert file == export
    assert [str(spec) for spec in file.inputs] == [
        "ids: int32[batch, dim_1]",
        "image: float32[batch, 8, 8, 3]",
    ]
    assert [str(spec) for spec in file.outputs] == [
        "a: float32[batch, 192]",
        "b: float32[batch, 2]",
    ]


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (["serve", "serving_default", "x"], None, "serving_default"),
        (["serve", "x"], None, "serve"),
        (["only"], None, "only"),
        (["__saved_model_init_op", "only"], None, "only"),
        (["serving_default", "x"], "x", "x"),
    ],
)
def test_choose_signature(names: list[str], wanted: str | None, chosen: str) -> None:
    assert choose_signature(names, wanted) == chosen


@pytest.mark.parametrize(
    ("names", "wanted", "said"),
    [
        (["a", "b"], None, "it has: a, b"),
        ([], None, "it has: none"),
        (["serving_default"], "y", "no signature 'y'"),
    ],
)
def test_no_signature(names: list[str], wanted: str | None, said: str) -> None:
    with pytest.raises(StepError, match=said):
        choose_signature(names, wanted)


def test_natural_order() -> None:
    names = ["output_10", "output_2", "b", "output_1", "3"]
    assert sorted(names, key=natural_key) == ["3", "b", "output_1", "output_2", "output_10"]
