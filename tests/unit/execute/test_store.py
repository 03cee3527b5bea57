"""Results in the store: whole or absent, verified at every hit, and never through a link."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from taxiway.errors import SafetyError, StepError
from taxiway.execute.digest import digest_json, digest_path
from taxiway.execute.store import Entry, Store, default_root

KEY = "a" * 64
FILES = {"model.bin": b"model" * 100, "variables/0.bin": b"weights" * 100}


def publish(store: Store, key: str = KEY) -> Entry:
    with store.owned(key), store.workdir(key) as workdir:
        for name, content in FILES.items():
            (workdir / name).parent.mkdir(exist_ok=True)
            (workdir / name).write_bytes(content)
        return store.publish(key, workdir, {"step": "convert", "figures": {"accuracy": 0.97}})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_published_result_is_found_again(store: Store) -> None:
    assert store.get(KEY) is None
    assert not store.has(KEY)
    made = publish(store)
    assert store.has(KEY)
    found = store.get(KEY)
    assert found is not None
    assert found.outputs == made.outputs
    assert {name: (found.files / name).read_bytes() for name in found.outputs} == FILES
    assert found.record["figures"] == {"accuracy": 0.97}
    assert list((store.root / "tmp").iterdir()) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def link(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    target = path.parents[5] / "outside"
    target.write_bytes(content)
    path.symlink_to(target)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a file flipped": lambda e: flip(e / "files/model.bin"),
    "a nested file flipped": lambda e: flip(e / "files/variables/0.bin"),
    "a file truncated": lambda e: os.truncate(e / "files/model.bin", 10),
    "a file emptied": lambda e: os.truncate(e / "files/model.bin", 0),
    "a file grown": lambda e: os.truncate(e / "files/model.bin", 1000),
    "a file zeroed": lambda e: (e / "files/model.bin").write_bytes(bytes(500)),
    "a file deleted": lambda e: (e / "files/model.bin").unlink(),
    "a file added": lambda e: (e / "files/extra").write_bytes(b""),
    "a file renamed": lambda e: (e / "files/model.bin").rename(e / "files/other.bin"),
    "a file that is a folder": lambda e: (
        (e / "files/model.bin").unlink(),
        (e / "files/model.bin").mkdir(),
    ),
    "a file that is a link to the same": lambda e: link(e / "files/model.bin"),
    "a link added": lambda e: (e / "files/extra").symlink_to("/etc/passwd"),
    "the files gone": lambda e: (e / "files").rename(e / "elsewhere"),
    "the record gone": lambda e: (e / "record.json").unlink(),
    "the record emptied": lambda e: os.truncate(e / "record.json", 0),
    "the record cut": lambda e: os.truncate(e / "record.json", 100),
    "the record not JSON": lambda e: (e / "record.json").write_text("{"),
    "the record a list": lambda e: (e / "record.json").write_text("[]"),
    "the record deep": lambda e: (e / "record.json").write_text("[" * 100_000),
    "the record not UTF-8": lambda e: (e / "record.json").write_bytes(b"\xff" * 9),
    "a figure changed": lambda e: edit(e / "record.json", "0.97", "0.98"),
    "a digest changed": lambda e: edit(
        e / "record.json", '"model.bin": "sha256:', '"model.bin": "'
    ),
    "another key": lambda e: edit(e / "record.json", KEY, "b" * 64),
    "no digest": lambda e: edit(e / "record.json", '"digest"', '"dogest"'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_result_is_set_aside_and_made_again(damage, store: Store) -> None:
    publish(store)
    damage(store.folder(KEY))
    assert store.get(KEY) is None
    assert not store.has(KEY)
    assert len(list((store.root / "quarantine").iterdir())) == 1
    publish(store)
    found = store.get(KEY)
    assert found is not None
    assert {name: (found.files / name).read_bytes() for name in found.outputs} == FILES


def test_another_result_in_its_place_is_seen(store: Store) -> None:
    """Moved whole, with a digest that fits: the key in the record is another's."""
    publish(store)
    other = store.folder("b" * 64)
    other.parent.mkdir()
    store.folder(KEY).rename(other)
    assert store.get("b" * 64) is None


def test_damage_is_seen_while_the_key_is_owned(store: Store) -> None:
    publish(store)
    flip(store.folder(KEY) / "files/model.bin")
    with store.owned(KEY):
        assert store.get(KEY) is None


def test_what_a_killed_process_left_goes_with_the_next_owner(store: Store) -> None:
    mine = store.root / "tmp" / f"{KEY}-stale"
    other = store.root / "tmp" / f"{'b' * 64}-working"
    for folder in (mine, other):
        (folder / "files").mkdir(parents=True)
        (folder / "files/half").write_bytes(b"half")
    with store.owned(KEY):
        assert not mine.exists()
        assert other.exists()


def test_checkpoints_outlive_a_failed_step_and_go_with_its_success(store: Store) -> None:
    kept = store.checkpoints(KEY)
    with pytest.raises(RuntimeError), store.owned(KEY), store.workdir(KEY):
        kept.mkdir(parents=True)
        (kept / "epoch.npz").write_bytes(b"weights")
        raise RuntimeError
    assert (kept / "epoch.npz").is_file()
    publish(store)
    assert not kept.exists()
    assert store.get(KEY) is not None


def test_a_failed_step_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.owned(KEY), store.workdir(KEY) as workdir:
        (workdir / "half").write_bytes(b"half")
        raise RuntimeError
    assert list((store.root / "tmp").iterdir()) == []
    assert store.get(KEY) is None


def test_a_link_as_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "real")
    with pytest.raises(SafetyError, match="is a link"):
        Store(tmp_path / "store")
    assert list((tmp_path / "real").iterdir()) == []


def test_a_file_as_the_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StepError, match="cannot be used: ") as caught:
        Store(tmp_path / "store")
    assert "--store" in str(caught.value.hint)


def test_a_relative_store_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps get its folders in processes that work elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert Store(Path("store")).root == tmp_path / "store"


def test_the_variable_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIWAY_STORE", str(tmp_path / "mine"))
    assert default_root() == tmp_path / "mine"
    monkeypatch.delenv("TAXIWAY_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_root() == tmp_path / "cache/taxiway/store"


FULL_DISK = """
import resource, sys
from pathlib import Path
from taxiway.errors import StepError
from taxiway.execute.store import Store
store = Store(Path(sys.argv[1]))
key = "c" * 64
with store.workdir(key) as workdir:
    (workdir / "model.bin").write_bytes(b"model" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    try:
        store.publish(key, workdir, {"step": "convert", "why": "x" * 100})
    except StepError as error:
        print(error.render())
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(store: Store) -> None:
    publish(store)
    said = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(store.root)], capture_output=True, text=True
    )
    assert said.stdout.startswith(f"error: the result cannot be stored in {store.root}: File too")
    assert "taxiway gc" in said.stdout
    assert list((store.root / "tmp").iterdir()) == []
    assert store.get("c" * 64) is None
    assert store.get(KEY) is not None


def test_the_digest_of_a_record_is_that_of_its_other_entries(store: Store) -> None:
    publish(store)
    record = json.loads((store.folder(KEY) / "record.json").read_bytes())
    assert record.pop("digest") == digest_json(record)


def test_the_digest_of_one_output(tmp_path: Path) -> None:
    """A SavedModel is a folder; another folder with a longer name does not count."""
    store = Store(tmp_path / "store")
    with store.workdir(KEY) as workdir:
        for name in ("model/a.pb", "model/variables/b", "model2/c", "model.onnx"):
            (workdir / name).parent.mkdir(parents=True, exist_ok=True)
            (workdir / name).write_text(name)
        entry = store.publish(KEY, workdir, {})
    for name in ("model", "model.onnx"):
        assert entry.digest(name) == digest_path(entry.files / name)
