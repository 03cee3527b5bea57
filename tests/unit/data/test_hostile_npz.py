from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.data.archive import MAX_MEMBERS
from taxiway.data.npz import Npz
from taxiway.errors import SafetyError, TaxiwayError
from taxiway.plugins import Selection


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode()
    width = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, len(text)) + text + data


def fields(descr: Any = "'<f4'", order: Any = False, shape: Any = "(2,)", more: str = "") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{more}}}\n"


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}, print], dtype=object), allow_pickle=True)
    return stream.getvalue()


def archive(
    path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in members:
            target.writestr(name, content)
    return path


def read(path: Path) -> None:
    options = msgspec.convert({"type": "npz", "path": str(path), "labels": None}, Npz.Config)
    dataset = Npz().open(options, 0)
    for _ in dataset.batches(Selection("test"), 4):
        pass


FLOATS = struct.pack("<2f", 1, 2)
CASES = {
    "object array": pickled(),
    "object dtype": npy(fields("'|O'", shape="(2,)"), b"\0" * 16),
    "structured dtype": npy(fields("[('a', '<f4')]"), FLOATS),
    "not npy": b"PK something else entirely",
    "unknown version": npy(fields(), FLOATS)[:6] + b"\x09" + npy(fields(), FLOATS)[7:],
    "4 TB declared": npy(fields(shape="(1000000000000,)"), FLOATS),
    "overflowing shape": npy(fields(shape=f"({2**40}, {2**40})"), FLOATS),
    "negative axis": npy(fields(shape="(-2,)"), FLOATS),
    "boolean axis": npy(fields(shape="(True,)"), FLOATS[:4]),
    "shape is a list": npy(fields(shape="[2]"), FLOATS),
    "extra field": npy(fields(more=", 'x': 1"), FLOATS),
    "missing field": npy("{'descr': '<f4'}", FLOATS),
    "not a dict": npy("'text'", FLOATS),
    "call in header": npy("__import__('os').getcwd()", FLOATS),
    "deep header": npy("(" * 5000, FLOATS),
    "long header": npy(" " * 20_000 + fields(), FLOATS, version=2),
    "bad dtype": npy(fields("'<q99'"), FLOATS),
    "trailing bytes": npy(fields(), FLOATS + b"more"),
    "short": npy(fields(), FLOATS[:4]),
    "header cut": npy(fields())[:20],
}


@pytest.mark.parametrize("content", CASES.values(), ids=CASES)
def test_hostile_array_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SafetyError):
        read(archive(tmp_path / "d.npz", [("x.npy", content)]))


def test_plain_array_of_the_same_script_is_read(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        content = npy(fields(shape="(2, 1)"), FLOATS, version)
        read(archive(tmp_path / "d.npz", [("x.npy", content)]))


def test_duplicate_member(tmp_path: Path) -> None:
    content = npy(fields(), FLOATS)
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(tmp_path / "d.npz", [("x.npy", content), ("x.npy", content)])
    with pytest.raises(SafetyError, match="twice"):
        read(tmp_path / "d.npz")


def test_unusual_compression(tmp_path: Path) -> None:
    path = archive(tmp_path / "d.npz", [("x.npy", npy(fields(), FLOATS))], zipfile.ZIP_LZMA)
    with pytest.raises(SafetyError, match="unusual"):
        read(path)


def test_too_many_members(tmp_path: Path) -> None:
    members = [(f"{i}.npy", b"") for i in range(MAX_MEMBERS + 1)]
    with pytest.raises(SafetyError, match="members"):
        read(archive(tmp_path / "d.npz", members))


def test_bomb(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    rows = 2**29
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
        target.open("x.npy", "w") as member,
    ):
        member.write(npy(fields("'|u1'", shape=f"({rows},)")))
        for _ in range(rows // 2**24):
            member.write(bytes(2**24))
    with pytest.raises(SafetyError, match="unpacks"):
        read(path)


def test_size_in_the_directory_is_a_lie(tmp_path: Path) -> None:
    content = npy(fields("'|u1'", shape="(64,)"), bytes(64))
    lying = npy(fields("'|u1'", shape="(4096,)"), bytes(64))
    path = archive(tmp_path / "d.npz", [("x.npy", lying)], zipfile.ZIP_STORED)
    raw = path.read_bytes()
    real, claimed = struct.pack("<I", len(lying)), struct.pack("<I", len(lying) + 4032)
    assert len(content) < len(lying)
    place = raw.rindex(b"PK\x01\x02") + 24
    assert raw[place : place + 4] == real
    path.write_bytes(raw[:place] + claimed + raw[place + 4 :])
    with pytest.raises(SafetyError):
        read(path)


def test_flipped_data_is_noticed(tmp_path: Path) -> None:
    content = npy(fields("'|u1'", shape="(64,)"), bytes(range(64)))
    path = archive(tmp_path / "d.npz", [("x.npy", content)], zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    raw[raw.index(bytes(range(64))) + 60] ^= 1
    path.write_bytes(raw)
    options = msgspec.convert(
        {"type": "npz", "path": str(path), "labels": None, "splits": {"test": {"rows": ":"}}},
        Npz.Config,
    )
    with pytest.raises(SafetyError, match="damaged"):
        list(Npz().open(options, 0).batches(Selection("test"), 4))


@given(noise=st.binary(max_size=200), place=st.integers(0, 250))
def test_any_damage_is_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("npz") / "d.npz"
    content = npy(fields("'|u1'", shape="(64, 1)"), bytes(range(64)))
    archive(path, [("x.npy", content)])
    raw = path.read_bytes()
    path.write_bytes(raw[:place] + noise + raw[place + len(noise) :])
    try:
        read(path)
    except TaxiwayError:
        assert noise
