"""Files that are no model Taxiway reads, told by content: what each is, and the nearest way on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from taxiway.errors import SafetyError, StepError, TaxiwayError
from taxiway.model.other_protobufs import core_ml, cut_off, frozen_graph

_LOOK = 4096
"""Bytes of the beginning that are looked at."""
_AGAIN = "copy or download it again"
_RESTORE = (
    "restore it in the code that built the model, then: model.export(folder), or "
    "tf.saved_model.save(module, folder)"
)
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip, or for an archive: tar xzf"),
    b"BZh": ("bzip2", "bunzip2, or for an archive: tar xjf"),
    b"\xfd7zXZ\x00": ("xz", "unxz, or for an archive: tar xJf"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"7z\xbc\xaf\x27\x1c": ("7z", "7z x"),
    b"Rar!": ("rar", "unrar x"),
}
_ELSEWHERE = {
    (0, b"GGUF"): ("a language model in GGUF format", "export the model it was made from to ONNX"),
    (4, b"ORTM"): ("a model in ONNX Runtime's own format", "use the .onnx file it was made from"),
    (4, b"ET12"): ("an ExecuTorch program", "export the PyTorch model to ONNX or to .pt2"),
}
_TENSORFLOW_TABLE = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The end of a checkpoint's .index file (tensorflow/core/lib/io/format.h)."""
_MODEL_NAMES = (".onnx", ".tflite", ".keras", ".h5", "saved_model.pb", ".pt2", ".skops")


def explain(path: Path) -> TaxiwayError | None:
    """The error that says what a file is; None where its content tells nothing."""
    with path.open("rb") as file:
        head = file.read(_LOOK)
    recognizers: Sequence[Callable[[Path, bytes], TaxiwayError | None]] = (
        *(_empty, _git_lfs, _compressed, _elsewhere, _pickle, _markup, _json),
        *(_checkpoint, _part_of_saved_model, cut_off, core_ml, frozen_graph, _text),
    )
    return next((error for know in recognizers if (error := know(path, head))), None)


def _empty(path: Path, head: bytes) -> TaxiwayError | None:
    if not head:
        return StepError(f"{path.name} is empty, no model", _AGAIN)
    if not head.strip(b"\0"):
        return StepError(f"{path.name} begins with {len(head)} zero bytes, no model", _AGAIN)
    return None


def _git_lfs(path: Path, head: bytes) -> TaxiwayError | None:
    """https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""
    if not head.startswith(b"version https://git-lfs"):
        return None
    size = re.search(rb"^size (\d+)$", head, re.MULTILINE)
    missing = f", the model itself ({int(size[1])} bytes) is not here" if size else ""
    return StepError(f"{path.name} is a Git LFS pointer{missing}", "git lfs pull")


def _compressed(path: Path, head: bytes) -> TaxiwayError | None:
    for magic, (kind, command) in _COMPRESSED.items():
        if head.startswith(magic):
            return StepError(
                f"{path.name} is compressed ({kind}), no model",
                f"unpack it first: {command} {path.name}",
            )
    if head[257:262] == b"ustar":
        return StepError(
            f"{path.name} is a tar archive, no model", f"unpack it first: tar xf {path.name}"
        )
    return None


def _elsewhere(path: Path, head: bytes) -> TaxiwayError | None:
    for (at, magic), (what, way) in _ELSEWHERE.items():
        if head[at : at + len(magic)] == magic:
            return StepError(f"{path.name} is {what}, which Taxiway does not read", way)
    return None


def _pickle(path: Path, head: bytes) -> TaxiwayError | None:
    """Pickles of protocol 0 are text; joblib compresses them with zlib."""
    old = re.match(rb"(\(?(c[\w.]+\n[\w.]+\n|[dl]p\d+\n)|ccopy_reg\n|\(dp0\n)", head)
    zlib = head[:1] == b"\x78" and head[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda")
    if not old and not zlib:
        return None
    kind = "compressed data as joblib writes it, a pickle" if zlib else "a Python pickle"
    return SafetyError(
        f"{path.name} is {kind}, which runs code when it is loaded",
        "export the model to ONNX, SavedModel or .keras",
    )


def _markup(path: Path, head: bytes) -> TaxiwayError | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return StepError(
            f"{path.name} is a web page, no model: a download saved an error or a login page",
            "download it again, from the address of the file itself",
        )
    if not start.startswith(b"<?xml") and not start.startswith(b"<net "):
        return None
    if b"<net " in start:
        return StepError(
            f"{path.name} is an OpenVINO model, which Taxiway does not read",
            "use the ONNX or TensorFlow model it was made from",
        )
    if b"<pmml" in start:
        return StepError(
            f"{path.name} is a PMML model, which Taxiway does not read",
            "save the scikit-learn estimator with skops, or export it to ONNX",
        )
    return StepError(f"{path.name} is an XML file, no model", _AGAIN)


def _json(path: Path, head: bytes) -> TaxiwayError | None:
    start = head.lstrip()
    if not start.startswith(b"{"):
        return None
    if b'"modelTopology"' in head or b'"weightsManifest"' in head or b'"graph-model"' in head:
        return StepError(
            f"{path.name} is a TensorFlow.js model, which Taxiway does not read",
            "use the Keras model or SavedModel it was made from",
        )
    if b'"class_name"' in head:
        return StepError(
            f"{path.name} is a Keras architecture without its weights",
            "save the whole model: model.save('model.keras')",
        )
    return StepError(f"{path.name} is a JSON file, no model", "name the model file itself")


def _checkpoint(path: Path, head: bytes) -> TaxiwayError | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read(8)
    shard = re.search(r"\.(data-\d{5}-of-\d{5}|meta)$", path.name)
    pointer = head.startswith(b"model_checkpoint_path:")
    if end != _TENSORFLOW_TABLE and not shard and not pointer:
        return None
    return StepError(
        f"{path.name} is part of a TensorFlow checkpoint, which holds weights and no model",
        _RESTORE,
    )


def _part_of_saved_model(path: Path, head: bytes) -> TaxiwayError | None:
    if path.name not in (
        "saved_model.pb",
        "saved_model.pbtxt",
        "keras_metadata.pb",
        "fingerprint.pb",
    ):
        return None
    return StepError(
        f"{path.name} is one part of a SavedModel", f"name its folder instead: {path.parent}"
    )


def _text(path: Path, head: bytes) -> TaxiwayError | None:
    """The text itself is not shown: it may be anything, a password too."""
    try:
        text = head[: len(head) // 4 * 4].decode()
    except UnicodeDecodeError:
        return None
    if all(char.isprintable() or char in "\r\n\t" for char in text):
        return StepError(f"{path.name} is a text file, no model", "name the model file itself")
    return None


def explain_archive(path: Path, names: Sequence[str]) -> TaxiwayError | None:
    """The error that says what a zip archive is, by its members; None where they tell nothing."""
    model = next((name for name in names if name.endswith(_MODEL_NAMES)), None)
    if model:
        return StepError(
            f"{path.name} is a zip archive that holds {model}",
            f"unpack it first: unzip {path.name}",
        )
    if names and all(name.endswith(".npy") for name in names):
        return StepError(
            f"{path.name} is an archive of NumPy arrays, no model", "as samples it is data=npz"
        )
    return None


def explain_folder(path: Path, names: Sequence[str]) -> TaxiwayError | None:
    """The error that says what a folder is, by what it holds; None where that tells nothing."""
    if "Manifest.json" in names and "Data" in names:
        return StepError(
            f"folder {path.name} is a Core ML package, which Taxiway does not read",
            "export the model it was made from to ONNX",
        )
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return StepError(
            f"folder {path.name} is a TensorFlow checkpoint, which holds weights and no model",
            _RESTORE,
        )
    if "model.json" in names:
        return StepError(
            f"folder {path.name} looks like a TensorFlow.js model, which Taxiway does not read",
            "use the Keras model or SavedModel it was made from",
        )
    models = [name for name in names if name.endswith(_MODEL_NAMES)]
    if models:
        return StepError(
            f"folder {path.name} is no SavedModel, but holds {', '.join(models[:5])}",
            f"name the file: source.path={path / models[0]}",
        )
    return None
