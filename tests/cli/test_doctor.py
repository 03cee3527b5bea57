from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from taxiway.cli.main import main
from taxiway.execute import doctor


def examined(capsys: pytest.CaptureFixture[str], store: Path, *flags: str) -> tuple[int, dict]:
    code = main(["doctor", "--store", str(store), "--json", *flags])
    return code, {row["what"]: row for row in json.loads(capsys.readouterr().out)}


def test_versions_are_those_that_are_installed(tmp_path, capsys) -> None:
    code, checks = examined(capsys, tmp_path / "store")
    assert code == 0
    assert {name: checks[name]["detail"] for name in ("onnx", "msgspec", "taxiway")} == {
        name: version(name) for name in ("onnx", "msgspec", "taxiway")
    }
    assert {"python", "cpu", "memory", "store", "disk"} <= set(checks)


@pytest.mark.parametrize(
    ("missing", "code", "state", "hint"),
    [
        ("tensorflow", 0, "warning", "pip install 'taxiway[tensorflow]'"),
        ("hydra-joblib-launcher", 0, "warning", "pip install 'taxiway[sweep]'"),
        ("onnx", 1, "problem", "pip install --upgrade taxiway"),
    ],
)
def test_a_missing_library_comes_with_the_line_that_installs_it(
    missing, code, state, hint, tmp_path, monkeypatch, capsys
) -> None:
    def found(name: str) -> str:
        if name == missing:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", found)
    result, checks = examined(capsys, tmp_path)
    assert result == code
    assert (checks[missing]["state"], checks[missing]["hint"]) == (state, hint)


@pytest.mark.parametrize(
    ("wanted", "found", "allowed"),
    [
        (">=1.2,<2", "1.2", True),
        (">=1.2,<2", "1.2.0.post1", True),
        (">=1.2,<2", "1.10", True),
        (">=1.2,<2", "1.1.9", False),
        (">=1.2,<2", "2", False),
        ("<2,>=1.2", "2.0.1", False),
        ("", "7", True),
    ],
)
def test_versions_are_compared_by_their_numbers(wanted: str, found: str, allowed: bool) -> None:
    assert doctor._allows(wanted, found) is allowed


@pytest.mark.parametrize(("value", "warned"), [("1", True), (None, False)], ids=["set", "unset"])
def test_bytecode_that_is_not_written_is_a_warning(
    value, warned, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    if value:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", value)
    code, checks = examined(capsys, tmp_path)
    assert code == 0
    assert ("bytecode" in checks) is warned


def test_a_store_that_cannot_be_a_folder_is_a_problem(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    code, checks = examined(capsys, tmp_path / "file/store")
    assert code == 1
    assert checks["store"]["state"] == "problem"


def test_looking_makes_no_store(tmp_path, capsys) -> None:
    examined(capsys, tmp_path / "store", "--verify")
    assert not (tmp_path / "store").exists()


def test_verify_finds_damaged_results_and_leaves_them(tmp_path, make_result, capsys) -> None:
    make_result(tmp_path, "a" * 64)
    damaged = make_result(tmp_path, "b" * 64)
    (damaged / "files/model").write_bytes(b"other")
    code, checks = examined(capsys, tmp_path, "--verify")
    assert code == 0
    assert checks["store"]["detail"].startswith(f"{tmp_path}: 2 results")
    assert checks["result"]["detail"] == "bbbbbbbbbbbb is damaged"
    assert checks["results"]["detail"].startswith("1 of 2")
    assert damaged.is_dir()


def test_hints_follow_the_table(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert main(["doctor", "--store", str(tmp_path)]) == 0
    assert "bytecode: unset PYTHONDONTWRITEBYTECODE" in capsys.readouterr().out
