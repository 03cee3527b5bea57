"""What a file is, told by its content: an extension proves nothing."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from taxiway.errors import SafetyError, StepError
from taxiway.model.model import FORMATS, RESULTS_ONLY, Format
from taxiway.model.other_files import explain, explain_archive, explain_folder
from taxiway.safety.keras_file import HDF5_MAGIC
from taxiway.safety.protobuf import Malformed, fields, opened
from taxiway.safety.safetensors_file import is_safetensors
from taxiway.safety.torch_program import root_of

_MAX_FIELDS = 200_000
"""Fields on a ModelProto's top level, most of them functions."""
_SOURCES = [words for name, words in FORMATS.items() if name not in RESULTS_ONLY]
_KNOWN = f"expected one of: {', '.join(_SOURCES)}"


def detect(path: Path) -> Format:
    """The format of the model at `path`, by magic bytes or structure.

    Raises StepError that names what was found, SafetyError where it is a pickle.
    """
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists() and not path.is_file():
            raise StepError(f"{path.name} is neither a file nor a folder, no model")
        if not path.is_file():
            raise StepError(f"no model at {path}", "check the path of the source section")
        return _file(path)
    except OSError as error:
        raise StepError(
            f"{path.name} cannot be read: {error.strerror or error}", "check its permissions"
        ) from error


def _file(path: Path) -> Format:
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(HDF5_MAGIC):
        return "keras"
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise SafetyError(
            f"{path.name} is a Python pickle, which runs code when it is loaded",
            "export the model to ONNX, SavedModel, .keras, .pt2 (torch.export) or .skops",
        )
    if is_safetensors(head):
        raise StepError(
            f"{path.name} holds weights alone (safetensors), no model",
            "name the code that builds the model: source=torch source.factory=package.module:Class, "
            "or the folder of a transformers model: source=huggingface",
        )
    if head.startswith(b"\x93NUMPY"):
        raise StepError(f"{path.name} is a NumPy array, no model; {_KNOWN}")
    return _protobuf(path, head)


def _folder(path: Path) -> Format:
    names = sorted(entry.name for entry in path.iterdir())
    if "saved_model.pb" in names:
        return "saved_model"
    if known := explain_folder(path, names):
        raise known
    if "config.json" in names:
        raise StepError(
            f"folder {path.name} has a config.json, as transformers writes it, and no saved_model.pb",
            "source=huggingface",
        )
    held = ", ".join(names[:5]) or "nothing"
    raise StepError(
        f"folder {path.name} is no SavedModel: it has no saved_model.pb (it holds {held})",
        "name the folder that holds saved_model.pb, or the model file itself",
    )


def _archive(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            first = min((member.header_offset for member in archive.infolist()), default=0)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error) as error:
        raise StepError(
            f"{path.name} is a damaged zip archive: {error}", "copy or download it again"
        ) from error
    if first:
        # The end of the file is missing, and a member that is an archive itself ends it now.
        raise StepError(f"{path.name} is a damaged zip archive: its own directory is missing")
    if {"config.json", "metadata.json"} <= set(names):
        return "keras"
    if root_of(names):
        return "torch"
    if "schema.json" in names:
        return "sklearn"
    if any(name.endswith(".pkl") for name in names):
        script = any(name.endswith("/constants.pkl") for name in names)
        raise SafetyError(
            f"{path.name} is a PyTorch archive with a pickle, which runs code when it is loaded"
            + (" (TorchScript)" if script else ""),
            "save it with torch.export.save(torch.export.export(model, inputs), 'model.pt2'); "
            "a state dict needs source.factory, too",
        )
    if "serialized_exported_program.json" in names:
        raise StepError(
            f"{path.name} is a torch.export program of torch 2.7 or older",
            "load it with the torch that wrote it, and export it again with torch 2.9 or newer",
        )
    if known := explain_archive(path, names):
        raise known
    held = ", ".join(names[:5]) or "nothing"
    raise StepError(f"{path.name} is a zip archive of {held}, no Keras model; {_KNOWN}")


def _protobuf(path: Path, head: bytes) -> Format:
    """ONNX has no magic: its top level must hold the fields of `ModelProto` (onnx.proto)."""
    found: set[tuple[int, int]] = set()
    try:
        with opened(path, _MAX_FIELDS) as data:
            found = {(field.number, field.wire_type) for field in fields(data)}
    except Malformed:
        found = set()
    graph, opsets, ir_version = (7, 2), (8, 2), (1, 0)
    if graph in found and found & {opsets, ir_version} and max(number for number, _ in found) < 64:
        return "onnx"
    if known := explain(path):
        raise known
    raise StepError(
        f"{path.name} is no model that Taxiway knows (it starts with {head[:8].hex(' ')}); {_KNOWN}"
    )
