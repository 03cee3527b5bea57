"""S28: nothing is written through a link; the file or folder it leads to stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxiway.cli.main import main
from taxiway.errors import SafetyError
from taxiway.execute.store import Store


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder with one file, and nothing else in the end."""
    where = tmp_path / "victim"
    where.mkdir()
    (where / "precious").write_text("precious")
    return where


def unharmed(victim: Path) -> bool:
    (only,) = victim.iterdir()
    return only.name == "precious" and only.read_text() == "precious"


@pytest.mark.parametrize("link", ["out", "out/mine"])
@pytest.mark.parametrize("more", [[], ["--multirun", "seed=1,2"]], ids=["run", "sweep"])
def test_output_folder(folder: Path, victim: Path, link: str, more: list[str]) -> None:
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(victim)
    assert main(["run", "mine.yaml", "--output", "out", *more]) == 5
    assert unharmed(victim)


@pytest.mark.parametrize("link", ["", "steps", "locks", "tmp", "quarantine", "recipes"])
def test_store(folder: Path, victim: Path, tmp_path: Path, link: str) -> None:
    where = tmp_path / "linked" / link
    where.parent.mkdir(exist_ok=True)
    where.symlink_to(victim)
    assert main(["run", "mine.yaml", "--store", str(tmp_path / "linked")]) == 5
    assert unharmed(victim)


def test_folder_of_a_key(tmp_path: Path, victim: Path) -> None:
    store, key = Store(tmp_path / "s"), "ab" * 32
    store.folder(key).parent.symlink_to(victim)
    with pytest.raises(SafetyError), store.workdir(key) as workdir:
        (workdir / "model").write_bytes(b"x")
        store.publish(key, workdir, {})
    assert unharmed(victim)


def test_lock_file(folder: Path, victim: Path) -> None:
    (folder / "mine.lock").symlink_to(victim / "precious")
    assert main(["run", "mine.yaml", "--lock"]) == 5
    assert unharmed(victim)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("name", ["started.yaml", ".started.yaml"])
def test_init(folder: Path, victim: Path, name: str) -> None:
    (folder / name).symlink_to(victim / "precious")
    code = main(["init", "model.onnx", "--output", "started.yaml", "--force"])
    assert code == (5 if name == "started.yaml" else 0)
    assert unharmed(victim)


@pytest.mark.parametrize("name", ["recipe.schema.json", ".recipe.schema.json"])
def test_schema(folder: Path, victim: Path, name: str) -> None:
    (folder / "schemas").mkdir()
    (folder / "schemas" / name).symlink_to(victim / "precious")
    code = main(["schema", "--out", "schemas"])
    assert code == (5 if name == "recipe.schema.json" else 0)
    assert unharmed(victim)


def test_schema_folder(folder: Path, victim: Path) -> None:
    (folder / "schemas").symlink_to(victim)
    assert main(["schema", "--out", "schemas"]) == 5
    assert unharmed(victim)
