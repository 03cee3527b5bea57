"""Every pass on graphs as exporters write them: what goes, what stays, and that it computes the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_graphs import MODELS, batchnorm_cnn, encoder, external_encoder, untidy

import taxiway
from taxiway.errors import StepError
from taxiway.model.runners import open_runner
from taxiway.optimize.graph.attention import has_attention, sizes
from taxiway.optimize.graph.changes import operators


def ops(path: Path) -> Counter[str]:
    return operators(path)


SIMPLIFIED = {
    "batchnorm cnn": {"BatchNormalization": 2},
    "untidy": {"Exp": 1, "Identity": 1, "Mul": 1},
    "branches": {},
    "encoder": {},
    "external weights": {},
}


@pytest.mark.parametrize("name", MODELS)
def test_simplify(name: str, optimize: Any, proven: Any, tmp_path: Path) -> None:
    model = MODELS[name](tmp_path / "m.onnx")
    result, told = optimize(model, "simplify")
    assert result.signature == model.signature
    verdict = proven(model, result)
    assert verdict["equal"], verdict["reason"]
    gone = told["graph"]["gone"]
    assert {op: gone.get(op) for op in SIMPLIFIED[name]} == SIMPLIFIED[name]
    nodes = told["graph"]["nodes"]
    assert nodes == {"before": ops(model.path).total(), "after": ops(result.path).total()}
    assert nodes["after"] <= nodes["before"]


def test_a_kind_of_simplification_can_be_left_out(optimize: Any, tmp_path: Path) -> None:
    model = batchnorm_cnn(tmp_path / "m.onnx")
    _, told = optimize(model, "simplify", skip=["graph_fusion"])
    assert "BatchNormalization" not in told["graph"]["gone"]


def test_large_results_of_constants_are_not_folded(optimize: Any, tmp_path: Path) -> None:
    from onnx_graphs import F, Graph

    g = Graph()
    wide = g.call("Expand", g.constant([1.5]), g.constant([64, 64], np.int64))
    g.call("MatMul", "x", wide, output="y")
    model = g.save(tmp_path / "m.onnx", [("x", F, ["n", 64])], [("y", F, ["n", 64])])
    kept, _ = optimize(model, "simplify", largest_constant="1 KiB")
    folded, told = optimize(model, "simplify", largest_constant=None)
    assert kept.size < 2000 and folded.size > 64 * 64 * 4
    assert told["graph"]["gone"] == {"Expand": 1}


@pytest.mark.parametrize("name", ["simplify", "fuse"])
def test_weights_in_other_files_stay_there(
    name: str, optimize: Any, proven: Any, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    model = external_encoder(tmp_path / "source" / "m.onnx")
    options = {"transformer": "none", "level": "extended"} if name == "fuse" else {}
    result, _ = optimize(model, name, **options)
    (weights,) = [p for p in result.path.parent.iterdir() if p != result.path]
    assert result.path.stat().st_size < weights.stat().st_size
    verdict = proven(model, result)
    assert verdict["equal"], verdict["reason"]


FUSED = {
    "batchnorm cnn": ({}, {"BatchNormalization": 2}, set()),
    "encoder": (
        {},
        {"Softmax": 2, "Erf": 2},
        {"com.microsoft:Attention", "com.microsoft:BiasGelu"},
    ),
    "batchnorm cnn, extended": ({"level": "extended"}, {"Relu": 2}, {"com.microsoft:FusedConv"}),
    "external weights": ({}, {"Softmax": 2}, {"com.microsoft:Attention"}),
}


@pytest.mark.parametrize("name", FUSED)
def test_fuse(name: str, optimize: Any, proven: Any, tmp_path: Path) -> None:
    options, gone, new = FUSED[name]
    model = MODELS[name.partition(",")[0]](tmp_path / "m.onnx")
    result, told = optimize(model, "fuse", **options)
    assert result.signature == model.signature
    assert {op: told["graph"]["gone"].get(op) for op in gone} == gone
    assert new <= set(told["graph"]["new"])
    verdict = proven(model, result)
    assert verdict["equal"], verdict["reason"]
    domains = {
        entry.domain for entry in onnx.load(result.path, load_external_data=False).opset_import
    }
    assert domains == ({"", "com.microsoft"} if new else {""})


def test_without_a_transformer_the_operators_are_those_of_onnx(
    optimize: Any, tmp_path: Path
) -> None:
    model = batchnorm_cnn(tmp_path / "m.onnx")
    result, _ = optimize(model, "fuse")
    assert not any(":" in op for op in ops(result.path))


def test_nothing_to_fuse_is_an_error(optimize: Any, tmp_path: Path) -> None:
    model = encoder(tmp_path / "m.onnx")
    with pytest.raises(StepError, match=r"nothing was fused.*m\.onnx") as caught:
        optimize(model, "fuse", transformer="none")
    assert "optimize.fuse" in str(caught.value.hint)


@pytest.mark.parametrize(("width", "heads"), [(16, 4), (24, 2), (12, 12)])
def test_heads_and_width_are_found(width: int, heads: int, tmp_path: Path) -> None:
    model = encoder(tmp_path / "m.onnx", width=width, heads=heads)
    graph = onnx.load(model.path).graph
    assert has_attention(graph)
    assert sizes(graph) == (heads, width)


def test_a_graph_without_attention(tmp_path: Path) -> None:
    graph = onnx.load(batchnorm_cnn(tmp_path / "m.onnx").path).graph
    assert not has_attention(graph)
    assert sizes(graph) == (0, 0)


def test_a_decoder_of_unknown_sizes_is_refused(optimize: Any, tmp_path: Path) -> None:
    model = batchnorm_cnn(tmp_path / "m.onnx")
    with pytest.raises(StepError, match="how many heads") as caught:
        optimize(model, "fuse", transformer="gpt2")
    assert "optimize.fuse.heads" in str(caught.value.hint)


def test_transposes_that_cancel_go(optimize: Any, proven: Any, tmp_path: Path) -> None:
    model = batchnorm_cnn(tmp_path / "m.onnx")
    result, told = optimize(model, "layout")
    assert ops(model.path)["Transpose"] == 6 and ops(result.path)["Transpose"] == 2
    assert told["graph"]["gone"] == {"Transpose": 4}
    assert proven(model, result)["equal"]


@pytest.mark.parametrize("layout", ["nchw"])
def test_channels_move_at_the_ends(layout: str, optimize: Any, proven: Any, tmp_path: Path) -> None:
    model = batchnorm_cnn(tmp_path / "m.onnx")
    result, _ = optimize(model, "layout", io=layout)
    assert [spec.shape for spec in result.signature.inputs] == [("n", 3, 8, 8)]
    assert [spec.shape for spec in result.signature.outputs] == [("n", 8, 8, 8)]
    assert ops(result.path)["Transpose"] == 0
    assert proven(model, result)["equal"]
    images = np.random.default_rng(1).random((2, 8, 8, 3), np.float32)
    before, after = (open_runner(m).predict({"image": images})["map"] for m in (model, result))
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("encoder", {"io": "nchw"}, "no input or output is an image"),
        ("batchnorm cnn", {"io": "nhwc"}, None),
        ("encoder", {}, "none of its 8 transposes meets its inverse"),
    ],
    ids=["no images", "they are there, but transposes cancel", "nothing cancels"],
)
def test_a_layout_that_changes_nothing(
    name: str, options: Any, message: str | None, optimize: Any, tmp_path: Path
) -> None:
    model = MODELS[name](tmp_path / "m.onnx")
    if message is None:
        assert optimize(model, "layout", **options)[0].signature == model.signature
        return
    with pytest.raises(StepError, match=message):
        optimize(model, "layout", **options)


@pytest.mark.parametrize("name", ["simplify", "fuse", "layout"])
def test_a_pass_writes_the_same_bytes_again(name: str, optimize: Any, tmp_path: Path) -> None:
    model = batchnorm_cnn(tmp_path / "m.onnx")
    first, second = (optimize(model, name)[0] for _ in range(2))
    assert first.path.read_bytes() == second.path.read_bytes()


def test_an_unused_input_stays(optimize: Any, tmp_path: Path) -> None:
    model = untidy(tmp_path / "m.onnx")
    result, _ = optimize(model, "simplify")
    assert [str(spec) for spec in result.signature.inputs] == [
        "a: float32[rows, 4]",
        "unused: float32[rows, 2]",
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [("simplify", {}), ("fuse", {"level": "extended"})],
    ids=["simplify", "fuse"],
)
def test_weights_in_few_bits_stay_so(
    name: str, options: Any, optimize: Any, proven: Any, tmp_path: Path
) -> None:
    """A convolution reads them through a Cast, which a folder of constants would widen for good."""
    quantized, _ = optimize(batchnorm_cnn(tmp_path / "m.onnx"), "quantize_weights")
    result, _ = optimize(quantized, name, **options)
    integers = [
        sum(t.data_type == onnx.TensorProto.INT8 for t in onnx.load(model.path).graph.initializer)
        for model in (quantized, result)
    ]
    assert integers == [2, 2]
    assert proven(quantized, result)["equal"]


@pytest.mark.parametrize(
    ("passes", "warned"),
    [
        ("simplify,quantize_static", False),
        ("quantize_static,fuse", False),
        ("fuse,quantize_static", True),
        ("fuse,quantize_dynamic", True),
        ("float16,fuse", True),
        ("float16,ort_format", True),
        ("quantize_static,simplify,fuse,ort_format", False),
    ],
)
def test_orders_that_lose_something_are_warned_of(
    passes: str, warned: bool, onnx_recipe: Path
) -> None:
    options = ["optimize.quantize_static.calibration.samples=32"] if "static" in passes else []
    overrides = [f"optimize=[{passes}]", *options]
    if "static" not in passes:
        overrides.append("~optimize.quantize_static")
    plan = taxiway.load(onnx_recipe, overrides).plan()
    assert bool(plan.warnings) is warned, plan.warnings
