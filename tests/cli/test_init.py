from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from taxiway import api
from taxiway.cli.main import main

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "recipes/models/digits.keras"
SAMPLES = ROOT / "recipes/data/digits.npz"


MLPERF_TINY = {
    "h5": "ic/resnet8.h5",
    "saved_model": "kws/saved_model",
    "int8 tflite": "kws/vendor_int8.tflite",
}


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """A trained model by its kind; the reference models skip where they are absent."""

    def find(kind: str) -> Path:
        if kind == "keras":
            return DIGITS
        folder: Path = request.getfixturevalue("mlperf_tiny")
        return folder / MLPERF_TINY[kind]

    return find


def copied(source: Path, folder: Path) -> str:
    """A copy of a model or archive in the folder, by its name."""
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / source.name)
    return source.name


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def write_onnx(
    path: Path, inputs: dict[str, tuple[int, list[int | str]]], output: list[int | str]
) -> Path:
    """A model that gives its first input's mean over all axes but the first and the last."""
    import onnx
    from onnx import TensorProto, helper

    first = next(iter(inputs))
    cast = helper.make_node("Cast", [first], ["real"], to=TensorProto.FLOAT)
    mean = helper.make_node("ReduceMean", ["real"], ["scores"], axes=[1], keepdims=0)
    sizes = [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()]
    result = helper.make_tensor_value_info("scores", TensorProto.FLOAT, output)
    graph = helper.make_graph([cast, mean], "mean", sizes, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def onnx_classifier(path: Path) -> Path:
    return write_onnx(path, {"image": (1, ["n", 4, 3])}, ["n", 3])


def samples(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def sections(recipe: Path) -> list[str]:
    """What the defaults list chooses."""
    chosen = yaml.safe_load(recipe.read_text())["defaults"]
    return [next(iter(entry)) for entry in chosen if isinstance(entry, dict)]


HOP = ["convert.saved_model", "parity.convert.saved_model"]
CONVERT = ["convert", "parity.convert"]
WITH_DATA = ["source", "data", "convert", "optimize", "evaluate", "deploy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "flags", "steps"),
    [
        ("keras", [], ["source", *CONVERT]),
        ("keras", ["--to", "onnx"], ["source", *HOP, *CONVERT]),
        ("h5", [], ["source", *CONVERT]),
        ("saved_model", [], ["source", *CONVERT]),
        ("saved_model", ["--to", "onnx"], ["source", *CONVERT]),
        ("int8 tflite", [], ["source"]),
        ("int8 tflite", ["--to", "onnx"], ["source", *CONVERT]),
    ],
)
def test_without_data_the_recipe_converts_and_no_more(kind, flags, steps, trained, folder) -> None:
    assert main(["init", copied(trained(kind), folder), "--output", "mine.yaml", *flags]) == 0
    assert [step.name for step in api.load("mine.yaml").plan().steps] == steps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "flags", "chosen"),
    [
        ("keras", [], WITH_DATA),
        ("keras", ["--to", "onnx"], WITH_DATA),
        ("saved_model", [], WITH_DATA),
        ("int8 tflite", [], ["source", "data", "evaluate", "deploy"]),
    ],
)
def test_with_data_the_recipe_quantizes_measures_and_deploys(
    kind, flags, chosen, trained, folder
) -> None:
    model = trained(kind)
    archive = SAMPLES if kind == "keras" else model.parent / "samples.npz"
    words = [copied(model, folder), "--data", copied(archive, folder), "--output", "mine.yaml"]
    assert main(["init", *words, *flags]) == 0
    assert sections(folder / "mine.yaml") == chosen
    assert api.load("mine.yaml").plan().steps[-1].section == "deploy"


def test_an_onnx_model_with_data_is_ready_to_run(folder: Path, capsys) -> None:
    onnx_classifier(folder / "tiny model.onnx")
    samples(folder / "s.npz", x=np.zeros((20, 4, 3), np.float32), y=np.zeros(20, np.int64))
    assert main(["init", "tiny model.onnx", "--data", "s.npz"]) == 0
    recipe = folder / "tiny_model.yaml"
    assert sections(recipe) == ["source", "data", "optimize", "evaluate", "deploy"]
    assert "# The model takes image: float32[n, 4, 3]" in recipe.read_text()
    assert "taxiway run tiny_model.yaml" in capsys.readouterr().out
    assert yaml.safe_load(recipe.read_text())["optimize"] == {
        "quantize_static": {"calibration": {"samples": 10}}
    }
    steps = api.load(recipe).plan().steps
    assert list(dict.fromkeys(step.section for step in steps)) == [
        *("source", "calibration", "optimize", "parity", "evaluate", "ledger", "deploy")
    ]


def test_a_quantized_onnx_model_is_not_quantized_again(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [0.1])
    zero = helper.make_tensor("zero", TensorProto.INT8, [], [0])
    names = [["x", "scale", "zero"], ["q", "scale", "zero"]]
    nodes = [
        helper.make_node("QuantizeLinear", names[0], ["q"]),
        helper.make_node("DequantizeLinear", names[1], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, 1, ["n", 3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "qdq", ends[:1], ends[1:], [scale, zero])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "q.onnx")
    samples(folder / "s.npz", x=np.zeros((8, 3), np.float32), y=np.zeros(8, np.int64))
    assert main(["init", "q.onnx", "--data", "s.npz"]) == 0
    assert sections(folder / "q.yaml") == ["source", "data", "evaluate", "deploy"]
    assert "# - optimize: [quantize_static]" in (folder / "q.yaml").read_text()


def test_token_ids_are_read_as_integers_and_quantized_dynamically(folder: Path) -> None:
    write_onnx(folder / "m.onnx", {"ids": (7, ["n", 16, 2]), "mask": (7, ["n", 16])}, ["n", 2])
    samples(
        folder / "s.npz",
        mask=np.ones((10, 16), np.int64),
        tokens=np.ones((10, 16, 2), np.int64),
        label=np.zeros(10, np.int64),
    )
    assert main(["init", "m.onnx", "--data", "s.npz"]) == 0
    recipe = api.load("m.yaml")
    data = recipe.composed.public["data"]
    assert data["inputs"] == {"ids": "tokens", "mask": "mask"}
    assert (data["labels"], data["dtype"]) == ("label", "int64")
    assert list(recipe.composed.public["optimize"]) == ["quantize_dynamic"]


def test_a_name_from_the_model_stays_one_value(folder: Path) -> None:
    """A tensor's name may hold anything; in the recipe it is text, never YAML."""
    hostile = "x\n_target_: ${oc.env:HOME} # {a: b}"
    write_onnx(folder / "m.onnx", {hostile: (1, ["n", 4, 3]), "b": (1, ["n", 5])}, ["n", 3])
    samples(folder / "s.npz", a=np.zeros((8, 4, 3), np.float32), b=np.zeros((8, 5), np.float32))
    assert main(["init", "m.onnx", "--data", "s.npz"]) == 0
    assert api.load("m.yaml").composed.public["data"]["inputs"] == {hostile: "a", "b": "b"}


def test_a_model_elsewhere_gets_its_recipe_beside_it(folder: Path, capsys) -> None:
    (folder.parent / "models").mkdir()
    onnx_classifier(folder.parent / "models/m.onnx")
    assert main(["init", "../models/m.onnx"]) == 0
    assert "written beside the model" in capsys.readouterr().out
    recipe = api.load(folder.parent / "models/m.yaml")
    assert recipe.composed.public["source"]["path"] == "m.onnx"


def test_a_recipe_that_exists_is_kept_unless_forced(folder: Path, capsys) -> None:
    onnx_classifier(folder / "m.onnx")
    (folder / "m.yaml").write_text("mine")
    assert main(["init", "m.onnx"]) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert (folder / "m.yaml").read_text() == "mine"
    assert main(["init", "m.onnx", "--force"]) == 0
    assert sections(folder / "m.yaml") == ["source"]
    assert sorted(path.name for path in folder.iterdir()) == ["m.onnx", "m.yaml"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["absent.onnx"], 1, "no model at absent.onnx"),
        (["s.npz"], 1, "an archive of NumPy arrays"),
        (["pickle.onnx"], 5, "Python pickle"),
        (["m.onnx", "--to", "keras"], 2, "keras"),
        (["m.onnx", "--data", "absent.npz"], 2, "no file absent.npz"),
        (["m.onnx", "--data", "m.onnx"], 1, "not a .npz archive"),
        (["m.onnx", "--data", "wrong.npz"], 2, "found x: float32[8, 9]; expected image: float32"),
        (["m.onnx", "--output", "m.yml"], 2, "expected a .yaml file"),
        (["m.onnx", "--output", "no/m.yaml"], 2, "in a folder that exists"),
        (["m.onnx", "--output", "sub/m.yaml"], 2, "lies outside the recipe's folder sub"),
        (["m.onnx", "--to", "keras"], 2, "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_described_is_an_error_and_writes_nothing(
    words, code, message, folder, capsys
) -> None:
    onnx_classifier(folder / "m.onnx")
    samples(folder / "s.npz", x=np.zeros((8, 4, 3), np.float32))
    samples(folder / "wrong.npz", x=np.zeros((8, 9), np.float32))
    (folder / "pickle.onnx").write_bytes(b"\x80\x04\x95pickle")
    (folder / "sub").mkdir()
    assert main(["init", *words]) == code
    assert message in capsys.readouterr().err
    assert not list(folder.rglob("*.yaml"))
