"""Hostile SavedModels: graphs written on the wire, and real ones that TensorFlow would run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from taxiway import safety
from taxiway.errors import SafetyError


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, *values: bytes | str) -> bytes:
    datas = [value.encode() if isinstance(value, str) else value for value in values]
    return b"".join(varint(number << 3 | 2) + varint(len(data)) + data for data in datas)


def node(
    op: str,
    name: str = "n",
    inputs: Iterable[str] = (),
    call: str = "",
    text: str | None = None,
    stream: str = "",
) -> bytes:
    data = field(1, name) + field(2, op) + field(3, *inputs)
    if call:
        data += field(5, field(1, "f") + field(2, field(10, field(1, call))))
    if text is not None:
        data += field(5, field(1, "value") + field(2, field(8, field(8, text))))
    if stream:
        data += field(5, field(1, "output_stream") + field(2, field(2, stream)))
    return data


def function(name: str, *nodes: bytes) -> bytes:
    return field(1, field(1, name)) + field(3, *nodes)


def saved_model(
    folder: Path,
    nodes: Iterable[bytes] = (),
    functions: Iterable[bytes] = (),
    exposed: Iterable[str] = (),
    saver: Iterable[str] = (),
    assets: Iterable[tuple[str, str]] = (),
    object_based: bool = True,
) -> Path:
    graph = field(1, *nodes) + field(2, field(1, *functions))
    meta = field(2, graph) + field(3, b"".join(field(i, s) for i, s in enumerate(saver, 1)))
    meta += b"".join(field(6, field(1, field(1, name)) + field(2, file)) for name, file in assets)
    if object_based:
        meta += field(7, b"".join(field(2, field(1, name)) for name in exposed))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(field(2, meta))
    return folder


SAVER = ("saver_filename:0", "save:0", "restore")
SAVE = function(
    "traced_save", node("SaveV2", inputs=["prefix"]), node("Const", "c", text="_temp/part")
)
CALL_SAVE = node("StatefulPartitionedCall", "save", ["saver_filename"], "traced_save")
OUTSIDE = "outside the saver"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "node": ({"nodes": [node("ReadFile")]}, "op ReadFile (node 'n' in the main graph)"),
    "library": ({"functions": [function("init", node("WriteFile"))]}, "function init"),
    "matching": ({"functions": [function("f", node("MatchingFiles"))]}, "op MatchingFiles"),
    "python": ({"functions": [function("f", node("EagerPyFunc"))]}, "op EagerPyFunc"),
    "two-ops-in-one-node": ({"nodes": [node("ReadFile") + field(2, "Add")]}, "op ReadFile"),
    "memory-map": ({"nodes": [node("ImmutableConst")]}, "op ImmutableConst"),
    "print-file": ({"nodes": [node("PrintV2", stream="file:///tmp/x")]}, "writes to a file"),
    "save-exposed": ({"functions": [SAVE], "exposed": ["traced_save"]}, OUTSIDE),
    "save-called": (
        {
            "functions": [SAVE, function("serve", node("PartitionedCall", call="traced_save"))],
            "exposed": ["serve"],
        },
        "function serve reads or writes checkpoints outside the saver",
    ),
    "save-called-twice-removed": (
        {
            "functions": [
                SAVE,
                function("inner", node("PartitionedCall", call="traced_save")),
                function("serve", node("If", call="inner")),
            ],
            "exposed": ["serve"],
        },
        "function serve",
    ),
    "save-called-by-other-node": (
        {"nodes": [node("PartitionedCall", "x", [], "traced_save")], "functions": [SAVE]},
        "node 'x' in the main graph",
    ),
    "save-own-path": (
        {
            "nodes": [CALL_SAVE],
            "saver": SAVER,
            "functions": [function("traced_save", node("SaveV2"), node("Const", text="/home/x"))],
        },
        "'/home/x'",
    ),
    "save-in-main-graph": ({"nodes": [node("SaveV2")]}, OUTSIDE),
    "tf1-default-path": (
        {"nodes": [node("SaveV2"), node("Const", text="/home/x")], "object_based": False},
        "'/home/x'",
    ),
    "table-constant": (
        {
            "functions": [
                function(
                    "init",
                    node("Const", "c", text="passwd"),
                    node("InitializeTableFromTextFileV2", inputs=["h", "c:0"]),
                )
            ]
        },
        "reads 'passwd', no asset",
    ),
    "table-captured": (
        {
            "nodes": [node("Const", "c", text="/etc/passwd")],
            "functions": [
                function("init", node("InitializeTableFromTextFileV2", inputs=["h", "arg"]))
            ],
        },
        "holds the path '/etc/passwd'",
    ),
    "asset-outside": ({"assets": [("c:0", "../../etc/passwd")]}, "lies outside the SavedModel"),
}

ACCEPTED: dict[str, dict[str, Any]] = {
    "saver": {"nodes": [CALL_SAVE], "functions": [SAVE], "saver": SAVER, "exposed": ["serve"]},
    "tf1-saver": {
        "nodes": [node("SaveV2"), node("Const", text="model")],
        "saver": SAVER,
        "object_based": False,
    },
    "asset-table": {
        "nodes": [node("Const", "c", text="/tmp/vocabulary.txt")],
        "assets": [("c:0", "vocabulary.txt")],
        "functions": [function("init", node("InitializeTableFromTextFileV2", inputs=["h", "arg"]))],
    },
    "print-stderr": {"nodes": [node("PrintV2", stream="stderr")]},
    "string-with-slash": {"nodes": [node("Const", text="/labels")]},
}


@pytest.mark.parametrize(("parts", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    with pytest.raises(SafetyError) as caught:
        safety.check(saved_model(tmp_path / "m", **parts), "saved_model")
    assert said in caught.value.message


@pytest.mark.parametrize("parts", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(tmp_path: Path, parts: dict[str, Any]) -> None:
    safety.check(saved_model(tmp_path / "m", **parts), "saved_model")


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_links(tmp_path: Path, make: Any) -> None:
    (tmp_path / "victim").write_text("x")
    folder = saved_model(tmp_path / "m")
    (folder / "variables").mkdir()
    make(tmp_path / "victim", folder / "variables/variables.index")
    with pytest.raises(SafetyError, match=r"variables/variables\.index"):
        safety.check(folder, "saved_model")


@pytest.mark.parametrize("other", ["saved_model.pbtxt", "saved_model.cpb"])
def test_second_graph(tmp_path: Path, other: str) -> None:
    folder = saved_model(tmp_path / "m")
    (folder / other).write_bytes(b"")
    with pytest.raises(SafetyError, match="second graph"):
        safety.check(folder, "saved_model")


def test_damaged(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\xff\xff")
    with pytest.raises(SafetyError, match="no readable protobuf"):
        safety.check(tmp_path, "saved_model")


@pytest.mark.slow
def test_s01_s02_built_by_tensorflow(tmp_path: Path) -> None:
    """The attacks as TensorFlow saves them; the first one writes its marker when it is loaded."""
    import tensorflow as tf

    marker = tmp_path / "marker"

    class Writer(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self) -> Any:
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.int64)

        def _initialize(self) -> None:
            tf.io.write_file(str(marker), "written at load")

    spec = [tf.TensorSpec([None], tf.float32)]

    class Attack(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.writer = Writer()

        @tf.function(input_signature=spec)
        def serve(self, x: Any) -> Any:
            tf.io.read_file("/etc/passwd")
            return x

    attack = Attack()
    tf.saved_model.save(attack, str(tmp_path / "m"), signatures=attack.serve)
    marker.unlink(missing_ok=True)
    with pytest.raises(SafetyError) as caught:
        safety.check(tmp_path / "m", "saved_model")
    assert "op WriteFile" in caught.value.message
    assert not marker.exists()
    tf.saved_model.load(str(tmp_path / "m"))
    assert marker.exists(), "the payload is no attack: loading it wrote nothing"


@pytest.mark.slow
def test_table_from_an_asset_passes(tmp_path: Path) -> None:
    import tensorflow as tf

    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("a\nb\n")

    class Lookup(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            initializer = tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(initializer, -1)
            self.scale = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def serve(self, x: Any) -> Any:
            return tf.cast(self.table.lookup(x), tf.float32) * self.scale

    module = Lookup()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    safety.check(tmp_path / "m", "saved_model")
