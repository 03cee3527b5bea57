"""A package of plugins, installed by pip and used from recipes, and the ways it can be broken."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxiway.plugins import SECTIONS

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "recipes"
RECIPE = """\
defaults:
  - base
  - source: onnx
  - data: npz
  - optimize: [round_weights]
  - evaluate: classification
  - deploy: onnxruntime_bundle
  - _self_
name: rounded
source:
  path: digits.onnx
data:
  path: digits.npz
  inputs: x_test
  labels: y_test
  scale: 0.0625
optimize:
  round_weights:
    mantissa_bits: 6
evaluate:
  gates:
    agreement: {min: 0.95}
"""
Python = Callable[..., "subprocess.CompletedProcess[str]"]


def pip_install(source: Path, target: Path) -> Path:
    """Built and installed without a network."""
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *words, str(source)], check=True)
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample package, as pip leaves it."""
    folder = tmp_path_factory.mktemp("sample")
    source = shutil.copytree(HERE / "taxiway_sample", folder / "source")
    return pip_install(source, folder / "site")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The recipe above, beside a classifier of digits and its samples."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from sklearn.linear_model import LogisticRegression

    with np.load(RECIPES / "data" / "digits.npz") as arrays:
        images, labels = arrays["x_train"][:600], arrays["y_train"][:600]
        shape = images.shape[1:]
    fitted = LogisticRegression(max_iter=300).fit(images.reshape(len(images), -1) / 16, labels)
    weights = {"w": fitted.coef_.T.astype(np.float32), "b": fitted.intercept_.astype(np.float32)}
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "digits",
        [value("image", TensorProto.FLOAT, ["batch", *shape])],
        [value("scores", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.save(model, tmp_path / "digits.onnx")
    shutil.copyfile(RECIPES / "data" / "digits.npz", tmp_path / "digits.npz")
    (tmp_path / "rounded.yaml").write_text(RECIPE)
    return tmp_path / "rounded.yaml"


def test_its_own_tests_pass(installed: Path, python: Python) -> None:
    tests = HERE / "taxiway_sample" / "tests"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(tests)]
    done = python(*words, "--rootdir", str(tests), path=[installed])
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_it_is_listed_and_in_the_schema(installed: Path, python: Python, tmp_path: Path) -> None:
    listed = python("-m", "taxiway", "list", "plugins", "--json", path=[installed])
    row = {"section": "optimize", "plugin": "round_weights", "from": "taxiway-sample 1.0.0"}
    assert row in json.loads(listed.stdout)
    groups = python("-m", "taxiway", "list", "groups", path=[installed])
    assert "round_weights" in groups.stdout
    python("-m", "taxiway", "schema", "--out", str(tmp_path / "schemas"), path=[installed])
    schema = json.loads((tmp_path / "schemas" / "recipe.schema.json").read_text())
    options = schema["$defs"]["optimize.round_weights"]["properties"]
    assert "bfloat16" in options["mantissa_bits"]["description"]
    own = json.loads((HERE.parents[1] / "schemas" / "recipe.schema.json").read_text())
    assert "optimize.round_weights" not in own["$defs"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mantissa_bits: 6", "mantisa_bits: 6", "did you mean 'mantissa_bits'?"),
        ("mantissa_bits: 6", "mantissa_bits: 40", "at most 22"),
        ("[round_weights]", "[round_weight]", "did you mean 'round_weights'?"),
    ],
)
def test_mistakes(
    installed: Path, python: Python, recipe: Path, old: str, new: str, said: str
) -> None:
    recipe.write_text(RECIPE.replace(old, new))
    done = python("-m", "taxiway", "validate", str(recipe), path=[installed])
    assert done.returncode == 2
    assert said in done.stderr + done.stdout


def keys(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {step["step"]: step["key"] for step in json.loads(done.stdout)["steps"]}


@pytest.mark.slow
def test_a_run(installed: Path, python: Python, recipe: Path) -> None:
    done = python("-m", "taxiway", "run", str(recipe), "--json", path=[installed])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == "accepted"
    assert [s["name"] for s in report["steps"] if s["plugin"] == "optimize.round_weights"]
    assert (Path(report["bundle"]) / "model.onnx").is_file()


def planned(python: Python, recipe: Path, path: list[Path]) -> dict[str, str]:
    code = (
        "import json, sys, taxiway\n"
        "print(json.dumps({s.name: s.key for s in taxiway.load(sys.argv[1]).plan().steps}))"
    )
    done = python("-c", code, str(recipe), path=path)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_another_version_is_another_key(
    installed: Path, python: Python, recipe: Path, tmp_path: Path
) -> None:
    newer = shutil.copytree(installed, tmp_path / "newer")
    (info,) = newer.glob("*.dist-info")
    metadata = info / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0.0", "Version: 1.0.1"))
    info.rename(newer / "taxiway_sample-1.0.1.dist-info")
    old, new = planned(python, recipe, [installed]), planned(python, recipe, [newer])
    assert old["source"] == new["source"]
    assert old["optimize.round_weights"] != new["optimize.round_weights"]


def package(folder: Path, name: str, entries: str, **modules: str) -> Path:
    """An installed distribution, as little of it as importlib.metadata needs."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    return folder


def test_one_name_from_two_distributions(
    installed: Path, python: Python, recipe: Path, tmp_path: Path
) -> None:
    rival = package(
        tmp_path / "rival", "rival", "[taxiway.optimize]\nround_weights = rival:Other\n"
    )
    done = python("-m", "taxiway", "plan", str(recipe), path=[installed, rival])
    assert done.returncode == 3
    assert "taxiway-sample 1.0.0" in done.stderr and "rival 1.0" in done.stderr
    assert "uninstall one of them" in done.stderr


BROKEN = {
    "missing extra": ("import tf2onnx_missing\nimport tf2onnx", None, "tf2onnx_missing"),
    "syntax": ("def (", None, "SyntaxError"),
    "error": ("1 / 0", None, "ZeroDivisionError"),
    "no class": ("Pass = 3", None, "no subclass of taxiway.plugins.Step"),
    "no such name": ("", None, "Pass"),
    "no config": ("from taxiway import plugins\nclass Pass(plugins.Pass): pass", None, "Config"),
    "extra": (
        "raise ModuleNotFoundError(\"No module named 'tf2onnx'\", name='tf2onnx')",
        "pip install 'taxiway[tensorflow]'",
        "tf2onnx",
    ),
}


@pytest.mark.parametrize(("text", "hint", "said"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("command", ["plan", "validate"])
def test_a_plugin_that_cannot_be_imported(
    python: Python,
    recipe: Path,
    tmp_path: Path,
    command: str,
    text: str,
    hint: str | None,
    said: str,
) -> None:
    entries = "[taxiway.optimize]\nbroken = broken_plugin:Pass\n"
    folder = package(tmp_path / "site", "broken-package", entries, broken_plugin=text)
    recipe.write_text(RECIPE.replace("[round_weights]", "[]").split("optimize:\n  round")[0])
    (tmp_path / "conf" / "optimize").mkdir(parents=True)
    group = "# @package optimize.broken\ntype: broken\n"
    (tmp_path / "conf" / "optimize" / "broken.yaml").write_text(group)
    done = python("-m", "taxiway", command, str(recipe), "optimize=[broken]", path=[folder])
    assert done.returncode == 3, done.stderr
    assert "broken-package 1.0" in done.stderr and said in done.stderr
    assert "Traceback" not in done.stderr
    assert hint is None or hint in done.stderr
    listed = python("-m", "taxiway", "list", "plugins", path=[folder])
    assert listed.returncode == 0 and "broken-package" in listed.stdout


@pytest.mark.parametrize("section", SECTIONS)
def test_a_broken_plugin_that_no_recipe_uses(
    python: Python, recipe: Path, tmp_path: Path, section: str
) -> None:
    entries = f"[taxiway.{section}]\nbroken = broken_plugin:Pass\n"
    folder = package(tmp_path / "site", "broken-package", entries, broken_plugin="1 / 0")
    recipe.write_text(
        RECIPE.replace("[round_weights]", "[]")
        .replace("  round_weights:\n    mantissa_bits: 6\n", "")
        .replace("optimize:\n", "")
    )
    done = python("-m", "taxiway", "plan", str(recipe), path=[folder])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("value", ["no_such_module", "sys", "broken_conf", "os:path"])
def test_a_broken_conf_entry_point(
    python: Python, recipe: Path, tmp_path: Path, value: str
) -> None:
    entries = f"[taxiway.conf]\nsample = {value}\n"
    folder = package(tmp_path / "site", "broken-package", entries, broken_conf="1 / 0")
    done = python("-m", "taxiway", "plan", str(recipe), path=[folder])
    assert done.returncode == 3, done.stderr
    assert "broken-package" in done.stderr
    assert "Traceback" not in done.stderr
