"""ONNX -> ONNX: each option on a real small model, what it changes and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner

X = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype("f4")


def assert_same_numbers(source: Model, result: Model, tolerance: float = 1e-5) -> None:
    expected, found = (open_runner(model).predict({"x": X}) for model in (source, result))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].shape == values.shape
        np.testing.assert_allclose(
            found[name].astype("f4"), values, rtol=tolerance, atol=tolerance * 30, err_msg=name
        )


def shapes(model: Model) -> list[tuple[Any, ...]]:
    return [spec.shape for spec in (*model.signature.inputs, *model.signature.outputs)]


def ops(model: Model) -> list[str]:
    return [node.op_type for node in onnx.load(model.path).graph.node]


@pytest.mark.parametrize("options", [{}, {"opset": 17}, {"dims": {"N": "dynamic"}}], ids=str)
def test_what_need_not_change_does_not(
    options: dict[str, Any], tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.cnn(tmp_path)
    result = convert(source, "onnx", **options)
    assert onnx.load(result.path) == onnx.load(source.path)
    if not options.get("dims"):
        assert result.path.read_bytes() == source.path.read_bytes()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch": 2}, [(2, 3, 8, 8), (2, 5), (2, 4, 8, 8)]),
        ({"dims": {"N": 4}}, [(4, 3, 8, 8), (4, 5), (4, 4, 8, 8)]),
        ({"io_layout": "nhwc"}, [("N", 8, 8, 3), ("N", 5), ("N", 8, 8, 4)]),
        ({"io_layout": "nchw"}, [("N", 3, 8, 8), ("N", 5), ("N", 4, 8, 8)]),
        ({"io_layout": "nhwc", "batch": 1}, [(1, 8, 8, 3), (1, 5), (1, 8, 8, 4)]),
        ({"opset": 21}, [("N", 3, 8, 8), ("N", 5), ("N", 4, 8, 8)]),
    ],
    ids=str,
)
def test_shapes(
    options: dict[str, Any],
    expected: list[tuple[Any, ...]],
    tmp_path: Path,
    onnx_models: Any,
    convert: Callable[..., Model],
) -> None:
    source = onnx_models.cnn(tmp_path)
    result = convert(source, "onnx", **options)
    assert shapes(result) == shapes(describe(result.path, "onnx")) == expected
    assert_same_numbers(source, result)


@pytest.mark.parametrize("opset", [14, 18, 19, 21, 24, 28])
def test_opsets_that_are_possible(
    opset: int, tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.cnn(tmp_path)
    result = convert(source, "onnx", opset=opset)
    assert [entry.version for entry in onnx.load(result.path).opset_import] == [opset]
    assert_same_numbers(source, result)


def test_an_opset_that_is_not_possible_lists_those_that_are(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    with pytest.raises(StepError, match=r"No Adapter .* for Relu") as caught:
        convert(onnx_models.cnn(tmp_path), "onnx", opset=13)
    assert caught.value.hint == "possible here: convert.opset=14 to 28"


def test_an_opset_changes_meaning_not_only_numbers(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    """Softmax flattened its input before opset 13."""
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [helper.make_node("Softmax", ["x"], ["y"], axis=1)],
        [("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [("y", TensorProto.FLOAT, ["N", 3, 8, 8])],
        opset=12,
    )
    result = convert(source, "onnx", opset=13)
    assert ops(result) != ["Softmax"]
    assert_same_numbers(source, result)


@pytest.mark.parametrize("flat", [(-1, 256), (0, -1)], ids=str)
def test_a_fixed_batch_becomes_dynamic(
    flat: tuple[int, int], tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.cnn(tmp_path, batch=1, flat=flat)
    result = convert(source, "onnx", dims={"batch": "dynamic"})
    assert shapes(result) == [("batch", 3, 8, 8), ("batch", 5), ("batch", 4, 8, 8)]
    assert_same_numbers(source, result)


@pytest.mark.parametrize(
    ("flat", "insists"),
    [((1, 256), ("Reshape", "flatten")), ((1, -1), ("MatMul", "dense"))],
    ids=str,
)
@pytest.mark.parametrize("dims", [{"batch": "dynamic"}, {"batch": 2}], ids=str)
def test_a_graph_that_insists_on_its_batch_is_named(
    flat: tuple[int, int],
    insists: tuple[str, str],
    dims: dict[str, Any],
    tmp_path: Path,
    onnx_models: Any,
    convert: Callable[..., Model],
) -> None:
    with pytest.raises(StepError, match="the graph insists on it") as caught:
        convert(onnx_models.cnn(tmp_path, batch=1, flat=flat), "onnx", dims=dims)
    assert all(word in caught.value.message for word in insists)


def test_a_batch_that_mixes_its_samples_cannot_be_freed(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "m"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, [2, 3])],
        [("y", TensorProto.FLOAT, [2, 3])],
    )
    with pytest.raises(StepError, match="depend on the others of its batch"):
        convert(source, "onnx", dims={"batch": "dynamic"})


def test_a_batch_that_an_output_does_not_follow_cannot_be_freed(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [helper.make_node("Reshape", ["x", "s"], ["y"])],
        [("x", TensorProto.FLOAT, [1, 4])],
        [("y", TensorProto.FLOAT, [1, 4])],
        s=np.array([1, -1]),
    )
    with pytest.raises(StepError, match="2 samples give 1 rows of output 'y'"):
        convert(source, "onnx", dims={"batch": "dynamic"})


def test_another_fixed_size_moves_the_outputs(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.cnn(tmp_path, batch=1)
    result = convert(source, "onnx", batch=3)
    assert shapes(result) == [(3, 3, 8, 8), (3, 5), (3, 4, 8, 8)]
    assert_same_numbers(source, result)


def test_a_freed_size_names_the_axes_that_grow(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Relu", ["x"], ["y"]),
            helper.make_node("ReduceMean", ["x"], ["z"], axes=[1], keepdims=0),
        ],
        [("x", TensorProto.FLOAT, ["N", 6, 3])],
        [("y", TensorProto.FLOAT, ["N", 6, 3]), ("z", TensorProto.FLOAT, ["N", 3])],
    )
    result = convert(source, "onnx", dims={"x[1]": "dynamic"})
    assert shapes(result) == [("N", "dim_1", 3), ("N", "dim_1", 3), ("N", 3)]


def test_transposes_cancel(tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]) -> None:
    """There and back is the same graph but for names."""
    source = onnx_models.cnn(tmp_path)
    moved = convert(source, "onnx", io_layout="nhwc")
    assert ops(moved) == ["Transpose", "Conv", "Relu", "Reshape", "MatMul", "Transpose"]
    back = convert(moved, "onnx", io_layout="nchw")
    assert ops(back) == ops(source)
    assert back.signature == source.signature
    assert_same_numbers(moved, back)


def test_a_layout_that_cannot_be_told_is_an_error(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [1, 8, 8, 8])],
        [("y", TensorProto.FLOAT, [1, 8, 8, 8])],
    )
    with pytest.raises(StepError, match="which axis of input 'x' holds the channels"):
        convert(source, "onnx", io_layout="nhwc")


def test_a_layout_without_images_is_an_error(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [1, 8])],
        [("y", TensorProto.FLOAT, [1, 8])],
    )
    with pytest.raises(StepError, match="no input or output is an image"):
        convert(source, "onnx", io_layout="nhwc")


@pytest.mark.parametrize("layout", [None, "nhwc"])
def test_float16_ends(
    layout: str | None, tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.cnn(tmp_path)
    result = convert(source, "onnx", io_dtype="float16", io_layout=layout)
    specs = (*result.signature.inputs, *result.signature.outputs)
    assert {spec.dtype for spec in specs} == {"float16"}
    assert_same_numbers(source, result, 5e-3)
    back = convert(result, "onnx", io_dtype="float32")
    assert {spec.dtype for spec in back.signature.inputs} == {"float32"}


@pytest.mark.parametrize("options", [{}, {"opset": 21}, {"batch": 1}], ids=str)
def test_weights_in_other_files_come_along(
    options: dict[str, Any], tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    inline = onnx_models.cnn(tmp_path)
    (tmp_path / "external").mkdir()
    path = tmp_path / "external" / "m.onnx"
    onnx.save(
        onnx.load(inline.path), path, save_as_external_data=True, location="w", size_threshold=64
    )
    source = describe(path, "onnx")
    result = convert(source, "onnx", **options)
    beside = {file.name for file in result.path.parent.iterdir()}
    assert beside == {"model.onnx", "w"}
    assert (result.path.parent / "w").read_bytes() == (path.parent / "w").read_bytes()
    assert result.size > (path.parent / "w").stat().st_size
    assert_same_numbers(inline, result)


def test_an_opset_keeps_notes_functions_and_foreign_ops(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.save(
        tmp_path / "m.onnx",
        [
            helper.make_node("Gelu", ["x"], ["g"], domain="com.microsoft"),
            helper.make_node("twice", ["g"], ["y"], domain="local"),
        ],
        [("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [("y", TensorProto.FLOAT, ["N", 3, 8, 8])],
    )
    proto = onnx.load(source.path)
    double = helper.make_node("Add", ["a", "a"], ["b"])
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("local", "twice", ["a"], ["b"], [double], opsets))
    proto.metadata_props.add(key="author", value="me")
    proto.producer_name, proto.doc_string = "mine", "about"
    onnx.save(proto, source.path)
    result = convert(source, "onnx", opset=20)
    written = onnx.load(result.path)
    assert (written.producer_name, written.doc_string) == ("mine", "about")
    assert [(entry.key, entry.value) for entry in written.metadata_props] == [("author", "me")]
    assert "Gelu" in ops(result)
    assert_same_numbers(source, result)


def test_sparse_initializers_refuse_another_opset(
    tmp_path: Path, onnx_models: Any, convert: Callable[..., Model]
) -> None:
    source = onnx_models.cnn(tmp_path)
    proto = onnx.load(source.path)
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("at", TensorProto.INT64, [1], [0])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    onnx.save(proto, source.path)
    assert convert(source, "onnx").path.read_bytes() == source.path.read_bytes()
    with pytest.raises(StepError, match="sparse initializers"):
        convert(source, "onnx", opset=20)
