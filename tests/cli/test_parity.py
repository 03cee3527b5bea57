"""`taxiway parity` on small ONNX files: verdicts, exit codes, what is shown and what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.cli.main import main


def _network(*, epsilon: float = 1e-3, kind: str = "Relu", domain: str = "") -> Any:
    """x [n, 3, 6, 6] -> convolution, batch norm, an activation, pooled scores [n, 4]."""
    random = np.random.default_rng(3)

    def weight(name: str, *shape: int) -> Any:
        values = random.uniform(0.01, 0.5, shape)
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node(
            "BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], "norm", epsilon=epsilon
        ),
        helper.make_node(kind, ["n"], ["a"], "activation", domain=domain),
        helper.make_node("GlobalAveragePool", ["a"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Softmax", ["f"], ["y"], "scores"),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [weight("w", 4, 3, 3, 3), *(weight(name, 4) for name in "gbmv")],
    )
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(_network(), "a.onnx")
    onnx.save(_network(), "same.onnx")
    onnx.save(_network(epsilon=1e-5), "epsilon.onnx")
    onnx.save(_network(kind="Mine", domain="org.mine"), "foreign.onnx")
    Path("text.onnx").write_text("no model")
    Path("empty.onnx").write_bytes(b"")
    Path("cut.onnx").write_bytes(Path("a.onnx").read_bytes()[:-40])
    random = np.random.default_rng(5)
    images = random.standard_normal((12, 3, 6, 6)).astype(np.float32)
    np.savez("data.npz", x_train=images + 1, x_test=images, other=np.arange(12))
    return tmp_path


@pytest.mark.parametrize(
    ("b", "code"),
    [
        pytest.param("same.onnx", 0, id="the same"),
        pytest.param("epsilon.onnx", 4, id="another epsilon"),
        pytest.param("foreign.onnx", 5, id="an op that needs a foreign library"),
        pytest.param("text.onnx", 1, id="text"),
        pytest.param("empty.onnx", 1, id="empty"),
        pytest.param("cut.onnx", 1, id="truncated"),
        pytest.param("nothing.onnx", 1, id="missing"),
    ],
)
def test_exit_codes(here: Path, capsys: pytest.CaptureFixture[str], b: str, code: int) -> None:
    assert main(["parity", "a.onnx", b, "--random"]) == code
    shown = capsys.readouterr()
    assert code not in (1, 5) or b in shown.err
    assert "Traceback" not in shown.out + shown.err


def test_the_operator_and_its_reproducer_are_shown(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parity", "a.onnx", "epsilon.onnx", "--data", "data.npz"]) == 4
    shown = capsys.readouterr().out
    assert "NOT EQUAL: output 'y' differs by" in shown
    assert "BatchNormalization 'norm'" in shown
    assert "12 of the data" in shown
    command = shown.partition("reproduce it: python ")[2].splitlines()[0]
    assert Path(command).is_file()


def test_json_is_the_figures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["parity", "a.onnx", "same.onnx", "--data", "data.npz", "--samples", "5", "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["equal"], shown["n"], shown["random"]) == (True, 5, False)
    assert shown["precision"] == "fp32"
    assert [output["name"] for output in shown["outputs"]] == ["y"]
    kept = json.loads((Path(shown["folder"]) / "figures.json").read_text())
    assert kept == shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param([], "no samples", id="neither"),
        pytest.param(["--random", "--data", "data.npz"], "exclude", id="both"),
        pytest.param(["--data", "data.npz", "--inputs", "x"], "NAME=ARRAY", id="no array"),
        pytest.param(["--random", "--samples", "0"], "too few", id="no row"),
        pytest.param(["--data", "data.npz", "--split", "holdout"], "holdout", id="no such split"),
    ],
)
def test_a_wrong_command_line(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["parity", "a.onnx", "same.onnx", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--split", "train"], ["--inputs", "x=x_train"]], ids=["split", "array"]
)
def test_arrays_can_be_chosen(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    common = ["parity", "a.onnx", "epsilon.onnx", "--data", "data.npz", "--json"]
    assert main([*common, *words]) == main(common) == 4
    text = capsys.readouterr().out
    decoder = json.JSONDecoder()
    chosen, end = decoder.raw_decode(text)
    default, _ = decoder.raw_decode(text[end:].lstrip())
    assert chosen["outputs"][0]["error"] != default["outputs"][0]["error"]


def test_a_model_that_cannot_be_found_leaves_nothing(here: Path) -> None:
    assert main(["parity", "a.onnx", "nothing.onnx", "--random"]) == 1
    assert not Path("runs").exists()
