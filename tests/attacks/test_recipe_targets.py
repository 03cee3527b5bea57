"""S18 and S20: a recipe runs no code and reads no configuration outside its folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import taxiway
from taxiway.errors import RecipeError

TARGETS = [
    "os.system",
    "os.popen",
    "os.execv",
    "os.remove",
    "subprocess.Popen",
    "subprocess.check_output",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "importlib.import_module",
    "runpy.run_path",
    "pickle.loads",
    "joblib.load",
    "pandas.read_pickle",
    "numpy.load",
    "pathlib.Path.write_text",
    "shutil.rmtree",
    "urllib.request.urlopen",
    "ctypes.CDLL",
    "tensorflow.io.write_file",
    "keras.models.load_model",
    "hydra.utils.instantiate",
    "hydra._internal.utils._locate",
    "taxiway.execute.worker.Worker",
]
PLACES = {
    "top": "{name}\n_target_: {target}\n",
    "section": "{name}\nconvert: {{_target_: {target}}}\n",
    "list": "{name}\nlimits: {{time: [{{_target_: {target}}}]}}\n",
    "interpolated": "{name}\nlimits: ${{oc.create:{{_target_:{target}}}}}\n",
    "merged": "{name}\n<<: {{_target_: {target}}}\n",
    "callbacks": "{name}\nhydra: {{callbacks: {{x: {{_target_: {target}}}}}}}\n",
    "launcher": "{name}\nhydra: {{launcher: {{_target_: {target}}}}}\n",
    "sweeper": "{name}\nhydra: {{sweeper: {{params: {{x: {{_target_: {target}}}}}}}}}\n",
}
FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
CORPUS = [
    (t, p) for at, t in enumerate(TARGETS) for n, p in enumerate(PLACES) if FULL or at % 8 == n
]


def refused(recipe: Path, overrides: list[str] | None = None) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        taxiway.load(recipe, overrides or []).plan()
    return caught.value


def spoil(folder: Path, old: str, new: str) -> Path:
    recipe = folder / "mine.yaml"
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new, 1))
    return recipe


@pytest.mark.parametrize(("target", "place"), CORPUS)
def test_targets(folder: Path, target: str, place: str) -> None:
    error = refused(
        spoil(folder, "name: mine\n", PLACES[place].format(name="name: mine", target=target))
    )
    assert error.exit_code == (2 if place in ("interpolated", "merged") else 5)


@pytest.mark.parametrize("target", TARGETS if FULL else TARGETS[::8])
@pytest.mark.parametrize(
    "override",
    [
        "+source._target_={target}",
        "+source={{_target_:{target}}}",
        "+hydra.callbacks.x._target_={target}",
        "hydra.launcher._target_={target}",
        "hydra.sweeper.params.a={{_target_:{target}}}",
        "+data.splits.test={{a:[{{_target_:{target}}}]}}",
    ],
)
def test_targets_in_overrides(folder: Path, override: str, target: str) -> None:
    assert refused(folder / "mine.yaml", [override.format(target=target)]).exit_code == 5


OUTSIDE = [
    "../secret",
    "/etc/passwd",
    "sub/../../secret",
    "file:///etc",
    "pkg://os",
    "~/secret",
]


@pytest.mark.parametrize("option", OUTSIDE)
@pytest.mark.parametrize("old", ["source: onnx", "- base", "[quantize_dynamic]"])
def test_defaults_traversal(folder: Path, old: str, option: str) -> None:
    new = {"source: onnx": f"source: {option}", "- base": f"- {option}"}.get(old, f"['{option}']")
    assert refused(spoil(folder, old, new)).exit_code == 5


@pytest.mark.parametrize("option", OUTSIDE)
def test_defaults_traversal_in_a_group_file(folder: Path, option: str) -> None:
    (folder / "conf" / "data").mkdir(parents=True)
    (folder / "conf" / "data" / "ours.yaml").write_text(f"defaults:\n  - {option}\ntype: npz\n")
    error = refused(spoil(folder, "data: npz", "data: ours"))
    assert error.exit_code == 5
    assert error.problems[0].file == "conf/data/ours.yaml"


@pytest.mark.parametrize("option", OUTSIDE[:4])
def test_traversal_in_an_override(folder: Path, option: str) -> None:
    assert refused(folder / "mine.yaml", [f"data='{option}'"]).exit_code in (2, 5)


@pytest.mark.parametrize(
    "text",
    [
        "hydra: {searchpath: [file:///tmp]}",
        "hydra: {job: {env_set: {LD_PRELOAD: /tmp/x.so}}}",
        "hydra: {run: {dir: /tmp/x}}",
        "<<: {hydra: {searchpath: [file:///tmp]}}",
        "hydra: null",
    ],
)
def test_hydra_settings(folder: Path, text: str) -> None:
    assert refused(spoil(folder, "name: mine\n", f"name: mine\n{text}\n")).exit_code in (2, 5)


@pytest.mark.parametrize(
    "package", ["hydra", "hydra.job", "_global_.hydra", "hydra.launcher"], ids=str
)
def test_a_group_file_packaged_into_hydra(folder: Path, package: str) -> None:
    (folder / "conf" / "data").mkdir(parents=True)
    (folder / "conf" / "data" / "ours.yaml").write_text(
        f"# @package {package}\nenv_set: {{A: b}}\n"
    )
    assert refused(spoil(folder, "data: npz", "data: ours")).exit_code == 5


def test_a_group_packaged_into_hydra(folder: Path) -> None:
    assert refused(spoil(folder, "- data: npz", "- data@hydra.job: npz")).exit_code == 5
    (folder / "mine.yaml").write_text((folder / "mine.yaml").read_text().replace("@hydra.job", ""))
    assert refused(folder / "mine.yaml", ["+data@hydra.job=npz"]).exit_code == 5


def test_linked_config_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    (tmp_path / "elsewhere" / "data" / "ours.yaml").write_text("type: npz\npath: the-secret\n")
    (folder / "conf").symlink_to(tmp_path / "elsewhere")
    error = refused(spoil(folder, "data: npz", "data: ours"))
    assert error.exit_code == 5 and "the-secret" not in error.render()


def test_linked_group_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "victim.yaml").write_text("password: the-secret\n")
    (folder / "conf" / "data").mkdir(parents=True)
    (folder / "conf" / "data" / "ours.yaml").symlink_to(tmp_path / "victim.yaml")
    error = refused(spoil(folder, "data: npz", "data: ours"))
    assert error.exit_code == 5 and "the-secret" not in error.render()
