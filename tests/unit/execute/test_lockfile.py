"""A locked run refuses every drift, says where it is, and passes where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import taxiway
from taxiway.errors import DriftError, UsageError
from taxiway.execute import keys
from taxiway.execute.lockfile import Lock, lock_path

pytestmark = pytest.mark.slow
BATCH = "optimize.quantize_static.calibration.samples"


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory, onnx_recipe_files: Path) -> Path:
    """A folder with the store of a run, and its lock."""
    folder = tmp_path_factory.mktemp("locked")
    result = taxiway.load(onnx_recipe_files).run(output=folder / "runs", store=folder / "store")
    (folder / "lock").write_bytes((result.folder / "blobs_int8.lock").read_bytes())
    return folder


@pytest.fixture
def locked(run_once: Path, onnx_recipe: Path, tmp_path: Path):
    """Runs a copy of the recipe, locked; on the first run's store, or on `store`."""

    def run(*overrides: str, store: str | None = None, lock: Path | None = None) -> Any:
        return taxiway.load(onnx_recipe, overrides).run(
            output=tmp_path / "runs",
            store=tmp_path / store if store else run_once / "store",
            locked=lock or run_once / "lock",
        )

    return run


def test_an_unchanged_run_passes_from_the_cache(locked) -> None:
    assert all(step.cached for step in locked().steps)


def test_an_unchanged_run_passes_from_nothing(locked) -> None:
    """Times are measured anew; models and accuracies are the same."""
    result = locked(store="fresh")
    assert not any(step.cached for step in result.steps)


def change_row(recipe: Path, name: str) -> None:
    path = recipe.with_name("blobs.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays[name] = 1 - arrays[name]
    np.savez(path, **arrays)


def change_source(recipe: Path) -> None:
    with recipe.with_name("blobs.onnx").open("ab") as stream:
        stream.write(b"\x72\x00")


DRIFTS: dict[str, tuple[Callable[[Path], Any], list[str], list[str]]] = {
    "option": (lambda r: None, [f"{BATCH}=33"], [f"recipe.{BATCH}: 32 -> 33"]),
    "gate": (
        lambda r: None,
        ["evaluate.gates.accuracy.max_drop=30 pt"],
        ["recipe.evaluate.gates.accuracy.max_drop: 20 pt -> 30 pt"],
    ),
    "pass dropped": (
        lambda r: None,
        ["~optimize.quantize_static"],
        ["optimize.quantize_static: removed"],
    ),
    "pass added": (
        lambda r: None,
        ["+optimize@optimize.again=simplify"],
        ["optimize.again: added"],
    ),
    "labels": (
        lambda r: change_row(r, "y_test"),
        [],
        ["evaluate: inputs.data.test", "evaluate.source: "],
    ),
    "calibration rows": (
        lambda r: change_row(r, "x_train"),
        [],
        ["optimize.quantize_static: inputs.data.calibration"],
    ),
    "source": (change_source, [], ["source: options.path: "]),
}


@pytest.mark.parametrize(("change", "overrides", "lines"), DRIFTS.values(), ids=DRIFTS.keys())
def test_a_drift_is_said_where_it_is(
    change, overrides, lines, locked, onnx_recipe: Path, tmp_path: Path
) -> None:
    change(onnx_recipe)
    with pytest.raises(DriftError) as caught:
        locked(*overrides)
    assert caught.value.exit_code == 5
    for line in lines:
        assert f"\n  {line}" in caught.value.message
    assert "--lock" in str(caught.value.hint)
    assert list((tmp_path / "runs").rglob("report.json")) == []


def test_only_the_step_that_changed_is_named(locked, onnx_recipe: Path) -> None:
    change_row(onnx_recipe, "x_train")
    with pytest.raises(DriftError) as caught:
        locked()
    named = [line.split(":")[0].strip() for line in caught.value.message.splitlines()[1:]]
    assert set(named) == {"calibration.quantize_static", "optimize.quantize_static"}


def test_another_version_of_a_library_is_said(locked, monkeypatch) -> None:
    installed = keys._version
    monkeypatch.setattr(keys, "_version", lambda n: "99" if n == "onnxruntime" else installed(n))
    with pytest.raises(DriftError, match=r"libraries\.onnxruntime: [\d.]+ -> 99"):
        locked()


def test_another_machine_is_no_drift(locked, monkeypatch) -> None:
    """Its figures are measured anew, and its models must be the same."""
    monkeypatch.setattr(keys, "machine", lambda: "another")
    assert locked(store="fresh").status == "accepted"


def edited(run_once: Path, tmp_path: Path, change: Callable[[Any], None]) -> Path:
    body = json.loads((run_once / "lock").read_bytes())
    change(body)
    (tmp_path / "edited.lock").write_text(json.dumps(body))
    return tmp_path / "edited.lock"


def test_other_bytes_of_a_model_are_refused(locked, run_once: Path, tmp_path: Path) -> None:
    def change(body: Any) -> None:
        outputs = body["steps"]["optimize.quantize_static"]["outputs"]
        outputs.update(dict.fromkeys(outputs, "sha256:" + "0" * 64))

    with pytest.raises(DriftError, match=r"optimize.quantize_static: .*: 000000000000 -> "):
        locked(lock=edited(run_once, tmp_path, change))


def test_another_accuracy_is_refused(locked, run_once: Path, tmp_path: Path) -> None:
    def change(body: Any) -> None:
        body["metrics"]["evaluate"]["accuracy"] = 0.5

    with pytest.raises(DriftError, match=r"evaluate: accuracy: 0\.5 -> "):
        locked(lock=edited(run_once, tmp_path, change))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no lock file"),
        (b"", "is not a lock file"),
        (b"{", "is not a lock file"),
        (b"\xff\xfe", "is not a lock file"),
        (b"[]", "is not a lock file of version 1"),
        (b'{"lock": 2}', "is not a lock file of version 1"),
        (b'{"lock": 1}', "is not a lock file"),
        (b'{"lock": 1, "recipe": [], "steps": {}, "metrics": {}}', "is not a lock file"),
        (b'{"lock": 1, "recipe": {}, "steps": {"source": {}}, "metrics": {}}', "is not a lock"),
    ],
)
def test_what_is_no_lock_is_said(content: bytes | None, message: str, locked, tmp_path) -> None:
    file = tmp_path / "mine.lock"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        locked(lock=file)
    assert "--lock" in str(caught.value.hint)
    assert not (tmp_path / "runs").exists()


def test_the_lock_of_a_users_recipe_lies_beside_it(onnx_recipe: Path) -> None:
    recipe = taxiway.load(onnx_recipe)
    assert lock_path(recipe.composed) == onnx_recipe.with_name("blobs_int8.lock")


def test_the_lock_of_a_shipped_recipe_lies_in_the_working_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lock_path(taxiway.load("digits_int8").composed) == tmp_path / "digits_int8.lock"


def test_a_lock_says_nothing_of_where_it_was_made(run_once: Path, onnx_recipe_files: Path) -> None:
    text = (run_once / "lock").read_text()
    assert str(onnx_recipe_files.parent) not in text
    assert str(Path.home()) not in text
    assert Lock.read(run_once / "lock").body["lock"] == 1
