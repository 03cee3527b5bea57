from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from taxiway.cli.main import main
from taxiway.execute.store import Store

DAY = 86_400
NEW, MIDDLE, OLD = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def store(tmp_path: Path, make_result) -> Path:
    """Three results, used 2, 20 and 200 days ago, of about 1, 2 and 4 kB."""
    for key, size, days in ((NEW, 1000, 2), (MIDDLE, 2000, 20), (OLD, 4000, 200)):
        make_result(tmp_path / "store", key, size=size, age=days * DAY)
    return tmp_path / "store"


def keys(store: Path) -> set[str]:
    return {path.name for path in (store / "steps").glob("??/*")}


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ([], {NEW, MIDDLE, OLD}),
        (["--older-than", "30 d"], {NEW, MIDDLE}),
        (["--older-than", "72 h"], {NEW}),
        (["--older-than", "1 d"], set()),
        (["--max-size", "1 GiB"], {NEW, MIDDLE, OLD}),
        (["--max-size", "5 KiB"], {NEW, MIDDLE}),
        (["--max-size", "0 B"], set()),
        (["--all"], set()),
        (["--all", "--dry-run"], {NEW, MIDDLE, OLD}),
    ],
    # The sets come in another order in each process, and xdist compares the ids.
    ids=lambda value: "" if isinstance(value, set) else " ".join(value) or "no limit",
)
def test_what_a_limit_keeps(flags: list[str], kept: set[str], store: Path) -> None:
    assert main(["gc", "--store", str(store), *flags]) == 0
    assert keys(store) == kept
    assert list((store / "tmp").iterdir()) == []


def test_a_hit_makes_a_result_new_again(store: Path) -> None:
    assert Store(store).get(OLD) is not None
    main(["gc", "--store", str(store), "--older-than", "30 d"])
    assert OLD in keys(store)


def test_what_was_freed_is_said(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    assert main(["gc", "--store", str(store), "--older-than", "30 d", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    after = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    assert said["freed"] == before - after > 4000
    assert said["kept"] == after
    assert [(item["key"], item["recipe"]) for item in said["removed"]] == [(OLD, "digits")]


@pytest.mark.parametrize("flags", [[], ["--all"]], ids=["no limit", "all"])
def test_damaged_and_unfinished_folders_always_go(flags: list[str], store: Path) -> None:
    (store / "steps" / MIDDLE[:2] / MIDDLE / "files/model").write_bytes(b"damaged")
    assert Store(store).get(MIDDLE) is None
    (store / "tmp" / f"{OLD}-crashed").mkdir()
    assert main(["gc", "--store", str(store), *flags]) == 0
    assert list((store / "quarantine").iterdir()) == []
    assert list((store / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "kept"),
    [([], True), (["--older-than", "1 d"], True), (["--older-than", "0 s"], False)],
    ids=["no limit", "younger", "older"],
)
def test_a_checkpoint_stays_until_a_limit_names_it(
    flags: list[str], kept: bool, store: Path
) -> None:
    """A training that was killed goes on from it."""
    checkpoint = Store(store).checkpoints("d" * 64)
    checkpoint.mkdir(parents=True)
    (checkpoint / "epoch.npz").write_bytes(b"weights")
    assert main(["gc", "--store", str(store), *flags]) == 0
    assert checkpoint.exists() is kept


HOLD = """
import sys, pathlib
from taxiway.execute.store import Store
with Store(pathlib.Path(sys.argv[1])).owned(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_another_process_works_on_stays(store: Path, make_result, capsys) -> None:
    recent = "d" * 64
    make_result(store, recent)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store), MIDDLE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    (store / "tmp" / f"{MIDDLE}-working").mkdir()
    try:
        assert main(["gc", "--store", str(store), "--all"]) == 0
        assert keys(store) == {MIDDLE, recent}
        assert (store / "tmp" / f"{MIDDLE}-working").is_dir()
        assert "3 kept because a run is using the store" in capsys.readouterr().out
    finally:
        holder.communicate("")
    assert main(["gc", "--store", str(store), "--all"]) == 0
    assert keys(store) == set()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--older-than", "30"], "is not a time quantity"),
        (["--older-than", "2 GiB"], "is not a time quantity"),
        (["--max-size", "many"], "write a number and a unit"),
        (["--all", "--max-size", "1 B"], "not allowed with"),
        (["--store", "HOME"], "is no store"),
        (["--store", "nowhere"], "no store at nowhere"),
    ],
    ids=["no unit", "wrong unit", "no number", "two limits", "another folder", "no folder"],
)
def test_a_wrong_limit_or_folder_removes_nothing(words, message, store, capsys) -> None:
    words = [str(store.parent) if word == "HOME" else word for word in words]
    assert main(["gc", *(words if "--store" in words else ["--store", str(store), *words])]) == 2
    assert message in capsys.readouterr().err
    assert keys(store) == {NEW, MIDDLE, OLD}
