"""The proof step on pairs of models: clean ones pass, planted faults and broken files do not."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.parity.outputs import Outputs
from taxiway.plugins import Batch, Context, Selection

_SCRIPT = Path(__file__).with_name("planted.py")
_spec = importlib.util.spec_from_file_location("planted", _SCRIPT)
assert _spec and _spec.loader
planted: Any = importlib.util.module_from_spec(_spec)
sys.modules["planted"] = planted
_spec.loader.exec_module(planted)


class Arrays:
    """A dataset of one split over arrays in memory."""

    class_names = None
    splits = ("test",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, **inputs: Any) -> None:
        self.inputs = inputs

    def count(self, selection: Selection) -> int:
        return min(len(a) for a in self.inputs.values())

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int):
        yield Batch({name: a[:size] for name, a in self.inputs.items()}, None)


Prove = Callable[..., dict[str, Any]]


@pytest.fixture
def prove(tmp_path: Path) -> Prove:
    def run(reference: Model, model: Model, data: Any = None, **options: Any) -> dict[str, Any]:
        workdir = tmp_path / "work"
        workdir.mkdir()
        given = {"type": "outputs", "split": "test" if data else None, **options}
        config = msgspec.convert(given, Outputs.Config)
        context = Context(workdir=workdir, reference=reference, data=data)
        figures = Outputs().run(model, config, context)
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures
        return figures

    return run


def _saved(model: Any, path: Path) -> Model:
    onnx.save(model, path)
    return describe(path, "onnx")


@pytest.mark.parametrize("name", planted.BUILDERS)
def test_a_clean_model_is_equal_to_itself_saved_again(name: str, tmp_path: Path, prove) -> None:
    models = [_saved(planted.BUILDERS[name](), tmp_path / f"{n}.onnx") for n in range(2)]
    figures = prove(*models, data=Arrays(x=planted.samples(name)))
    assert figures["equal"], figures["reason"]
    assert figures["divergence"] is None
    assert not figures["random"]
    assert figures["n"] == len(planted.samples(name))


@pytest.mark.parametrize("fault", planted.FAULTS, ids=lambda f: f"{f.model}-{f.kind}")
def test_a_planted_fault_is_never_equal(
    fault: Any, tmp_path: Path, prove, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where it is has tests of its own, and takes a second each.
    monkeypatch.setattr("taxiway.parity.divergence.first_divergence", lambda *_: None)
    reference = _saved(planted.BUILDERS[fault.model](), tmp_path / "a.onnx")
    model = _saved(planted.planted(fault), tmp_path / "b.onnx")
    figures = prove(reference, model, data=Arrays(x=planted.samples(fault.model)))
    assert not figures["equal"]
    (output,) = figures["outputs"]
    assert not output["equal"]
    assert output["fault"] in figures["reason"]


def test_the_reason_names_the_operator(tmp_path: Path, prove) -> None:
    fault = planted.FAULTS[0]
    reference = _saved(planted.BUILDERS[fault.model](), tmp_path / "a.onnx")
    model = _saved(planted.planted(fault), tmp_path / "b.onnx")
    figures = prove(reference, model, data=Arrays(x=planted.samples(fault.model)))
    assert figures["divergence"]["operator"] == fault.operator
    assert f"BatchNormalization '{fault.operator}'" in figures["reason"]
    folder = tmp_path / "work" / "reproducer" / figures["divergence"]["reproducer"]
    assert (folder / "reproduce.py").is_file()


def _identity(shape: list[Any], *, op: str = "Identity", output: str = "y", **attributes) -> Any:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node(op, ["x"], [output], "op", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("shape", [["n", 3], [2, 3], ["n", "m"], [3]])
def test_random_samples_only_where_allowed(shape: list[Any], tmp_path: Path, prove) -> None:
    models = [_saved(_identity(shape), tmp_path / f"{n}.onnx") for n in range(2)]
    with pytest.raises(StepError, match="no samples") as error:
        Outputs().run(models[1], Outputs.Config(), Context(tmp_path, reference=models[0]))
    assert "allow_random" in (error.value.hint or "")
    figures = prove(*models, allow_random=True)
    assert figures["equal"] and figures["random"]
    assert "random" in figures["reason"]


def test_a_limit_of_ones_own_decides(tmp_path: Path, prove) -> None:
    a = _saved(_identity(["n", 3], op="Relu"), tmp_path / "a.onnx")
    b = _saved(_identity(["n", 3], op="LeakyRelu", alpha=1e-3), tmp_path / "b.onnx")
    assert prove(a, b, allow_random=True, tolerances={"fp32": 0.01})["equal"]


def test_a_file_that_the_checker_refuses_is_not_equal(tmp_path: Path, prove) -> None:
    reference = _saved(_identity(["n", 3]), tmp_path / "a.onnx")
    model = _saved(_identity(["n", 3], op="Erfc"), tmp_path / "b.onnx")
    figures = prove(reference, model, allow_random=True)
    assert not figures["equal"]
    assert "checker" in figures["reason"] and "Erfc" in figures["reason"]


def test_a_model_that_does_not_run_is_not_equal(tmp_path: Path, prove) -> None:
    reference = _saved(_identity(["n", 3]), tmp_path / "a.onnx")
    model = _saved(_identity(["n", 4]), tmp_path / "b.onnx")
    figures = prove(reference, model, data=Arrays(x=np.ones((4, 3), np.float32)))
    assert not figures["equal"]
    assert "does not run" in figures["reason"]


def test_random_samples_of_a_model_that_takes_none_are_a_user_error(tmp_path, prove) -> None:
    from onnx import TensorProto, helper

    model = _identity(["n", "m"])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["s"], value_ints=[7, 11, 13]))
    model.graph.node[1].CopyFrom(helper.make_node("Reshape", ["x", "s"], ["r"]))
    model.graph.node.append(helper.make_node("Identity", ["r"], ["y"]))
    model.graph.output[0].type.CopyFrom(
        helper.make_tensor_type_proto(TensorProto.FLOAT, [7, 11, 13])
    )
    found = _saved(model, tmp_path / "a.onnx")
    with pytest.raises(StepError, match="no random input suits"):
        prove(found, found, allow_random=True)
