"""What a target lacks is said by the plan, and nothing runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import taxiway
from taxiway.cli.main import main
from taxiway.errors import RecipeError, StepError
from taxiway.execute.attempts import settle
from taxiway.execute.store import Store

RECIPE = """\
defaults:
  - base
  - source: onnx
  - convert: tflite
  - _self_
name: words
source: {path: words.onnx}
parity: {allow_random: true}
"""


AGAIN = """\
defaults:
  - base
  - source: onnx
  - optimize: [quantize_dynamic]
  - _self_
name: again
source: {path: int8.onnx}
parity: {allow_random: true}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """An encoder of words, for which TFLite and TensorFlow have nothing."""
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=["a", "b"],
        values_int64s=[0, 1],
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [value("x", TensorProto.STRING, ["n"])], [value("y", TensorProto.INT64, ["n"])]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, tmp_path / "words.onnx")
    (tmp_path / "words.yaml").write_text(RECIPE)
    return tmp_path / "words.yaml"


def test_the_plan_names_the_operators_of_every_way(recipe: Path, tmp_path: Path, capsys) -> None:
    assert main(["plan", str(recipe), "--store", str(tmp_path / "store")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "blocked tflite has nothing for ai.onnx.ml.LabelEncoder (1 node)" in shown
    assert "saved_model has nothing for ai.onnx.ml.LabelEncoder (1 node)" in shown


def test_a_run_refuses_before_the_first_step(recipe: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(StepError, match="nothing was run") as caught:
        taxiway.load(recipe).run(output=tmp_path / "runs", store=store)
    assert "ai.onnx.ml.LabelEncoder" in caught.value.message
    assert not list((store / "steps").rglob("record.json"))


def test_a_target_that_takes_the_model_is_not_held_up(recipe: Path, tmp_path: Path) -> None:
    settled = settle(taxiway.load(recipe, ["convert=null"]).composed, Store(tmp_path / "store"))
    assert not settled.blocked


def test_select_tf_ops_do_not_fit_a_litert_bundle() -> None:
    with pytest.raises(RecipeError, match="LiteRT has no Select TF ops") as caught:
        taxiway.load("digits_int8", ["convert.select_tf_ops=true"]).plan()
    assert caught.value.problems[0].line
    taxiway.load("digits_int8", ["convert.select_tf_ops=true", "deploy=null"]).plan()


@pytest.mark.parametrize(
    ("opset", "lacking"), [(18, "Gelu (1 node) in opset 18"), (20, None), (22, None)]
)
def test_an_opset_that_lacks_an_operator_is_said_by_the_plan(
    opset: int, lacking: str | None, tmp_path: Path
) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["n", 2])],
        [value("y", TensorProto.FLOAT, ["n", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "words.onnx")
    (tmp_path / "words.yaml").write_text(RECIPE.replace("tflite", "onnx"))
    recipe = taxiway.load(tmp_path / "words.yaml", [f"convert.opset={opset}"]).composed
    blocked = [attempt.reason for attempt in settle(recipe, Store(tmp_path / "store")).blocked]
    assert blocked == ([f"onnx has nothing for {lacking}"] if lacking else [])


def test_a_pass_that_cannot_be_applied_is_said_by_the_plan(tmp_path: Path, capsys) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    zero = numpy_helper.from_array(np.uint8(3), "zero")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    ends = ([value("x", TensorProto.FLOAT, ["n", 4])], [value("y", TensorProto.FLOAT, ["n", 4])])
    graph = helper.make_graph(nodes, "g", *ends, [scale, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, tmp_path / "int8.onnx")
    recipe = tmp_path / "again.yaml"
    recipe.write_text(AGAIN)
    store = tmp_path / "store"
    assert main(["plan", str(recipe), "--store", str(store)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "blocked quantize_dynamic cannot be applied: int8.onnx is quantized already" in shown
    with pytest.raises(
        StepError, match=r"int8\.onnx is quantized already.*nothing was run"
    ) as caught:
        taxiway.load(recipe).run(output=tmp_path / "runs", store=store)
    assert caught.value.hint == "drop the pass: '~optimize.quantize_dynamic'"
    assert not list((store / "steps").iterdir())
