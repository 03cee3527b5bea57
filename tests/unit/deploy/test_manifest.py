from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.deploy.manifest import NAME, canonical, check_files, write_manifest
from taxiway.errors import SafetyError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "b"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("alpha")
    (root / "sub/b.bin").write_bytes(b"\0\1\2")
    write_manifest(root, {"name": "b"})
    return root


def test_untouched(folder: Path) -> None:
    manifest = check_files(folder)
    assert manifest["name"] == "b"
    assert set(manifest["files"]) == {"a.txt", "sub/b.bin"}
    assert manifest["files"]["a.txt"]["size"] == 5


def test_the_digest_depends_on_content_alone(folder: Path) -> None:
    first = check_files(folder)["digest"]
    os.utime(folder / "a.txt", (0, 0))
    assert write_manifest(folder, {"name": "b"}) == first
    (folder / "a.txt").write_text("alphA")
    assert write_manifest(folder, {"name": "b"}) != first


def rewrite(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        manifest = json.loads((root / NAME).read_text())
        change(manifest)
        (root / NAME).write_bytes(canonical(manifest))

    return tamper


TAMPER: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda r: (r / "a.txt").write_text("alphb"), "a.txt was changed"),
    "longer": (lambda r: (r / "a.txt").write_text("alpha "), "a.txt was changed"),
    "removed": (lambda r: (r / "sub/b.bin").unlink(), "sub/b.bin is missing"),
    "added": (lambda r: (r / "evil.py").write_text(""), "evil.py is not in the manifest"),
    "renamed": (lambda r: (r / "a.txt").rename(r / "c.txt"), "a.txt is missing; c.txt is not"),
    "link": (lambda r: (r / "l").symlink_to("a.txt"), "is a link"),
    "linked folder": (lambda r: (r / "l").symlink_to("sub"), "is a link"),
    "pipe": (lambda r: os.mkfifo(r / "p"), "special file"),
    "no manifest": (lambda r: (r / NAME).unlink(), "is no bundle"),
    "linked manifest": (
        lambda r: ((r / NAME).rename(r.parent / "m"), (r / NAME).symlink_to(r.parent / "m")),
        "is no bundle",
    ),
    "no JSON": (lambda r: (r / NAME).write_text("{"), "cannot be read"),
    "other JSON": (lambda r: (r / NAME).write_text("[]"), "cannot be read"),
    "deep JSON": (lambda r: (r / NAME).write_text("[" * 100_000), "cannot be read"),
    "huge": (lambda r: (r / NAME).write_text(" " * 2**21), "too large"),
    "other name": (rewrite(lambda m: m.update(name="c")), "digest does not fit"),
    "file dropped": (rewrite(lambda m: m["files"].pop("a.txt")), "digest does not fit"),
    "spaces": (
        lambda r: (r / NAME).write_text((r / NAME).read_text() + " "),
        "digest does not fit",
    ),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPER.values(), ids=TAMPER)
def test_tampered(folder: Path, tamper: Callable[[Path], object], message: str) -> None:
    tamper(folder)
    with pytest.raises(SafetyError, match=message):
        check_files(folder)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_manifest_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    root = tmp_path_factory.mktemp("b")
    (root / "a.txt").write_text("alpha")
    write_manifest(root, {"name": "b"})
    raw = bytearray((root / NAME).read_bytes())
    raw[place % len(raw)] ^= 1 << bit
    (root / NAME).write_bytes(raw)
    with pytest.raises(SafetyError):
        check_files(root)
