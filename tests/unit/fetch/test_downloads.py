from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from taxiway.errors import SafetyError, StepError
from taxiway.execute import gc
from taxiway.fetch.downloads import Downloads, WrongDigest, hex_digest
from taxiway.safety.digest import digest_json, digest_tree

PIN = hashlib.sha256(b"model").hexdigest()


def model(folder: Path) -> None:
    (folder / "net.onnx").write_bytes(b"model")


def tree(folder: Path) -> None:
    (folder / "net" / "variables").mkdir(parents=True)
    (folder / "net" / "a").write_bytes(b"a")
    (folder / "net" / "variables" / "b").write_bytes(b"b")


def never(_: Path) -> None:
    raise AssertionError("it was there")


def left(root: Path) -> list[str]:
    return [path.name for path in (root / "tmp").iterdir()]


def test_a_file(tmp_path: Path) -> None:
    path, pin = Downloads(tmp_path).fetch("m", PIN, model)
    assert path == tmp_path / "downloads" / PIN / "net.onnx" and pin == PIN
    assert Downloads(tmp_path).fetch("m", PIN, never) == (path, PIN)
    assert left(tmp_path) == []


def test_a_folder_has_the_digest_of_its_files(tmp_path: Path) -> None:
    path, pin = Downloads(tmp_path).fetch("m", None, tree)
    assert f"sha256:{pin}" == digest_json(digest_tree(path)) and hex_digest(path) == pin
    assert Downloads(tmp_path).fetch("m", pin, never)[0] == path


def test_a_wrong_pin_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WrongDigest) as caught:
        Downloads(tmp_path).fetch("the model", "0" * 64, model)
    assert caught.value.exit_code == 5 and isinstance(caught.value, SafetyError)
    assert f"expected {'0' * 64}, found {PIN}" in caught.value.message
    assert left(tmp_path) == [] and not (tmp_path / "downloads").exists()


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        model(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Downloads(tmp_path).fetch("m", PIN, half)
    assert left(tmp_path) == [] and Downloads(tmp_path).get(PIN) is None


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    behind = tmp_path / "tmp" / f"download_{PIN}-x"
    behind.mkdir(parents=True)
    (behind / "net.onnx").write_bytes(b"mo")
    Downloads(tmp_path).fetch("m", PIN, model)
    assert left(tmp_path) == []


@pytest.mark.parametrize("damage", ["changed", "removed", "added"])
def test_damage_is_fetched_anew(tmp_path: Path, damage: str) -> None:
    path, _ = Downloads(tmp_path).fetch("m", PIN, model)
    if damage == "changed":
        path.write_bytes(b"other")
    elif damage == "removed":
        path.unlink()
    else:
        path.with_name("more").write_bytes(b"more")
    assert Downloads(tmp_path).get(PIN) is None
    again, _ = Downloads(tmp_path).fetch("m", PIN, model)
    assert again.read_bytes() == b"model" and list(again.parent.iterdir()) == [again]


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    calls = []

    def slow(folder: Path) -> None:
        calls.append(1)
        time.sleep(0.1)
        model(folder)

    def run() -> None:
        Downloads(tmp_path).fetch("m", PIN, slow)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


def test_a_linked_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "downloads").symlink_to(tmp_path / "victim")
    with pytest.raises(SafetyError):
        Downloads(tmp_path / "store").fetch("m", PIN, model)
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("taxiway.fetch.downloads.tempfile.mkdtemp", refuse)
    with pytest.raises(StepError, match="No space left"):
        Downloads(tmp_path).fetch("m", PIN, model)


def test_gc_keeps_and_removes_them_as_results(tmp_path: Path) -> None:
    Downloads(tmp_path).fetch("m", PIN, model)
    (item,) = gc.items(tmp_path)
    assert (item.kind, item.size) == ("download", 5)
    assert gc.unwanted([item]) == []
    assert gc.unwanted([item], max_size=4) == gc.unwanted([item], everything=True) == [item]
    assert gc.remove(tmp_path, [item]) == [item]
    assert Downloads(tmp_path).get(PIN) is None and left(tmp_path) == []
