from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from taxiway.cli.main import main
from taxiway.compose.assets import asset
from taxiway.compose.schema_files import own_schemas, stale

FILES = ["recipe.schema.json", "resolved.schema.json"]


def test_the_checked_in_schemas_are_those_of_the_plugins() -> None:
    assert stale(asset("schemas"), own_schemas()) == []


@pytest.mark.parametrize("name", FILES)
def test_each_is_a_valid_schema_of_its_draft(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(own_schemas()[name]))


def test_out_writes_the_installed_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--out", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == FILES
    assert capsys.readouterr().out.count("written") == 2
    assert main(["schema", "--out", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.count("unchanged") == 2


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["changed", "absent"])
def test_check_names_the_stale_file_and_writes_nothing(name, damage, tmp_path, capsys) -> None:
    main(["schema", "--out", str(tmp_path)])
    file = tmp_path / name
    if damage == "changed":
        file.write_text(file.read_text() + " ")
    else:
        file.unlink()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert main(["schema", "--out", str(tmp_path), "--check"]) == 1
    err = capsys.readouterr().err
    assert f"stale: {file}\n" in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_check_passes_on_what_was_written(tmp_path: Path) -> None:
    main(["schema", "--out", str(tmp_path)])
    assert main(["schema", "--out", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("section", ["data", "convert", "evaluate", "deploy"])
def test_a_section_may_be_null_in_a_composed_recipe(section: str) -> None:
    schema = json.loads(own_schemas()["resolved.schema.json"])
    recipe = {"name": "x", "source": {"type": "onnx", "path": "m.onnx"}, section: None}
    assert list(Draft202012Validator(schema).iter_errors(recipe)) == []
