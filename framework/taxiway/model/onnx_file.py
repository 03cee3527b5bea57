"""Reads and writes ONNX files of any size: weights beside the file are moved, not loaded.

Protobuf ends at 2 GiB (https://protobuf.dev/programming-guides/encoding/#size-limit), so larger
models keep their weights in other files (onnx.proto, `TensorProto.external_data`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taxiway.errors import SafetyError, StepError
from taxiway.safety.onnx_external import external_names

MAX_INLINE = 2**31 - 2**20
"""Bytes of a message that are still written as one file."""
LARGE = 2**30
"""Bytes of a model from which memory counts for more than the speed of the first calls."""
WEIGHTS = "model.onnx.data"


def load_graph(path: Path) -> Any:
    """The onnx.ModelProto without the data of other files. Raises StepError where it is none."""
    import onnx

    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise StepError(f"{path.name} is no readable ONNX model: {error}") from error


def write_graph(proto: Any, path: Path) -> Path:
    """Write `proto` as one file, or above 2 GiB with its weights beside it, and give the path."""
    import onnx

    if proto.ByteSize() <= MAX_INLINE:
        path.write_bytes(proto.SerializeToString(deterministic=True))
    else:
        onnx.save(
            proto, str(path), save_as_external_data=True, location=WEIGHTS, size_threshold=1024
        )
    return path


def write_beside(proto: Any, source: Path, folder: Path) -> Path:
    """Write a changed graph of the model at `source` into `folder`, with copies of its weights."""
    names = external_names(source)
    copy_files(source.parent, names, folder)
    return write_graph(proto, folder / file_name(names))


def copy_model(source: Path, folder: Path) -> Path:
    """Copy an ONNX file byte for byte, with the files it names, into `folder`."""
    names = external_names(source)
    copy_files(source.parent, names, folder)
    return Path(shutil.copyfile(source, folder / file_name(names)))


def file_name(weights: Iterable[str]) -> str:
    """The name for a model file whose weights have these names, none of which it may overwrite."""
    return "model.onnx" if "model.onnx" not in weights else "graph.onnx"


def copy_files(source: Path, names: Iterable[str], folder: Path) -> None:
    """Copy what a gate has found to be plain files of plain names, in pieces.

    Raises SafetyError where one is no longer so.
    """
    for name in names:
        file = source / name
        if name != Path(name).name or file.is_symlink() or not file.is_file():
            raise SafetyError(f"external data {name!r} is no plain file beside the model")
        shutil.copyfile(file, folder / name)


def check_file(path: Path) -> None:
    """onnx.checker with shape inference, by path: external data is found, and not loaded.

    For a file that a step wrote. Raises StepError with what it found.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise StepError(f"the step wrote an invalid model: {error}") from error


def check_structure(path: Path) -> None:
    """onnx.checker without shape inference, which refuses models that run, such as those with
    MeanVarianceNormalization. For a file of others. Raises StepError with what it found."""
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise StepError(f"{path.name} is no valid ONNX model: {error}") from error


def size_of(path: Path) -> int:
    """Bytes of an ONNX file and of the files it names."""
    sizes = (os.stat(path.parent / name).st_size for name in external_names(path))  # noqa: PTH116
    return path.stat().st_size + sum(sizes)
