from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from served import write_wheel

from taxiway.errors import PluginError, SafetyError, StepError
from taxiway.fetch import stream, wheel
from taxiway.fetch.location import WheelFile, parse
from taxiway.fetch.stream import Transfer

FILES = {
    "acme_net/models/net.onnx": b"graph",
    "acme_net/models/net.onnx.data": b"weights",
    "acme_net/models/other.onnx": b"other",
    "acme_net/models/saved/saved_model.pb": b"pb",
    "acme_net/models/saved/variables/v.index": b"index",
}


def location(path: str = "acme_net/models/net.onnx", name: str = "acme-net") -> WheelFile:
    found = parse(f"wheel://{name}==1.0/{path}")
    assert isinstance(found, WheelFile)
    return found


def fetched(folder: Path, transfer: Transfer, **given: str) -> Path:
    (folder / "work" / "into").mkdir(parents=True)
    wheel.fetch(location(**given), folder / "work" / "into", transfer)
    assert [path.name for path in (folder / "work").iterdir()] == ["into"]
    (path,) = (folder / "work" / "into").iterdir()
    return path


@pytest.mark.parametrize("name", ["acme-net", "Acme_Net", "acme.net"])
def test_pip_fetches_it(index: Path, tmp_path: Path, transfer: Transfer, name: str) -> None:
    original = write_wheel(index, FILES)
    path = fetched(tmp_path, transfer, name=name)
    assert path.read_bytes() == original.read_bytes() and path.name == original.name


def test_a_pip_of_the_working_folder_is_not_run(
    index: Path, tmp_path: Path, transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index, FILES)
    (tmp_path / "pip.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    fetched(tmp_path, transfer)
    assert not (tmp_path / "ran").exists()


def test_none_there(index: Path, tmp_path: Path, transfer: Transfer) -> None:
    with pytest.raises(StepError, match=r"pip gives no wheel of acme-net==1\.0") as caught:
        fetched(tmp_path, transfer)
    assert "only a wheel" in str(caught.value.hint)


def test_a_source_distribution_is_not_built(
    index: Path, tmp_path: Path, transfer: Transfer
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "setup.py").write_text(f"open({str(marker)!r}, 'w')\n")
    with tarfile.open(index / "acme-net-1.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "acme-net-1.0/setup.py")
    with pytest.raises(StepError, match="pip gives no wheel"):
        fetched(tmp_path, transfer)
    assert not marker.exists()


def test_a_wheel_of_another_platform(index: Path, tmp_path: Path, transfer: Transfer) -> None:
    path = write_wheel(index, FILES)
    path.rename(path.with_name("acme_net-1.0-cp38-cp38-win32.whl"))
    with pytest.raises(StepError, match="pip gives no wheel"):
        fetched(tmp_path, transfer)


def test_credentials_of_the_index_are_not_told(
    tmp_path: Path, transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hunter2pass@127.0.0.1:9/simple")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "127.0.0.1")
    with pytest.raises(StepError) as caught:
        fetched(tmp_path, transfer)
    assert "hunter2pass" not in caught.value.render()


def test_no_pip(tmp_path: Path, transfer: Transfer, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = (sys.executable, "-P", "-S", "-m", "pip", "download")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(wheel, "_PIP", absent)
    with pytest.raises(PluginError, match="needs pip"):
        fetched(tmp_path, transfer)


def test_pip_is_stopped_at_the_limits(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index, FILES)
    children: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        children.append(start(*args, **kwargs))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(wheel.subprocess, "Popen", noted)
    with pytest.raises(StepError, match="did not come within"):
        fetched(tmp_path, Transfer("the wheel", lambda *_: None, 0.0))
    monkeypatch.setattr(stream, "MAX_BYTES", -1)
    with pytest.raises(SafetyError, match="is larger than"):
        fetched(tmp_path / "again", Transfer("the wheel", lambda *_: None, 60.0))
    assert [child.poll() is not None for child in children] == [True, True]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("acme_net/models/net.onnx", {"net.onnx": b"graph", "net.onnx.data": b"weights"}),
        ("acme_net/models/other.onnx", {"other.onnx": b"other"}),
        (
            "acme_net/models/saved",
            {"saved/saved_model.pb": b"pb", "saved/variables/v.index": b"index"},
        ),
    ],
)
def test_extract(tmp_path: Path, path: str, expected: dict[str, bytes]) -> None:
    target = tmp_path / "into"
    target.mkdir()
    got = wheel.extract(write_wheel(tmp_path, FILES), path, target)
    assert got == target / Path(path).name and got.exists()
    found = {p.relative_to(target).as_posix(): p for p in target.rglob("*") if p.is_file()}
    assert {name: file.read_bytes() for name, file in found.items()} == expected


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("acme_net/net.onnx", "'acme_net/models/net.onnx'"),
        ("acme_net/models/saved_model", "'acme_net/models/saved'"),
        ("zzz", "it has: acme_net, acme_net-1.0.dist-info"),
    ],
)
def test_no_such_file(tmp_path: Path, path: str, hint: str) -> None:
    with pytest.raises(StepError, match="has no") as caught:
        wheel.extract(write_wheel(tmp_path, FILES), path, tmp_path)
    assert hint in str(caught.value.hint)


def test_what_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"hello")
    with pytest.raises(SafetyError, match="no readable wheel"):
        wheel.extract(tmp_path / "a.whl", "x", tmp_path)


def test_a_damaged_member(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, {"acme_net/net.onnx": os.urandom(2000)})
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    (tmp_path / "into").mkdir()
    with pytest.raises(SafetyError, match="damaged"):
        wheel.extract(path, "acme_net/net.onnx", tmp_path / "into")


def test_metadata(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, FILES)
    assert "Name: acme-net" in wheel.metadata(path)
    with zipfile.ZipFile(tmp_path / "bare.whl", "w") as archive:
        archive.writestr("a/b.dist-info/METADATA", "Name: inner")
    assert wheel.metadata(tmp_path / "bare.whl") == ""


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wheel(tmp_path, FILES)
    opened = Path.open

    def refuse(self: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StepError, match=r"other\.onnx cannot be stored: No space"):
        wheel.extract(path, "acme_net/models/other.onnx", tmp_path)
