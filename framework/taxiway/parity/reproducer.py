"""A folder with one operator, what it got, what it should give, and a script that shows it."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.runners import runtime_libraries
from taxiway.parity.trace import Operator, Trace

Array = np.ndarray[Any, Any]
MODEL = {"onnx": "model.onnx", "tflite": "model.tflite"}
GRAPH = "model.pb"
"""A TensorFlow GraphDef, for SavedModel and Keras."""


def write_reproducer(
    trace: Trace,
    operators: Sequence[Operator],
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    actual: Mapping[str, Array],
    tolerance: float,
    folder: Path,
) -> Path | None:
    """Write the reproducer of `operators` (mostly one) into a new folder in `folder`.

    It holds the model file in the trace's format, inputs.npz (as the file stores them),
    expected.npz and actual.npz (real values), versions.json and reproduce.py, which needs numpy and
    the runtime alone and exits with 1 where the operator still gives something else. None where the
    operators cannot be cut out.
    """
    format_ = trace.model.format
    target = _new_folder(folder, operators[-1].name)
    file = target / MODEL.get(format_, GRAPH)
    try:
        inputs, outputs = trace.extract(operators, feeds, list(expected), file)
    except (StepError, ValueError, KeyError) as error:
        (target / "README.txt").write_text(f"The operator could not be cut out: {error}\n")
        return None
    # Names of tensors hold characters that no member of a zip may: arrays are kept by number.
    np.savez(target / "inputs.npz", **_numbered(trace.stored(n, feeds[n]) for n in inputs))
    np.savez(target / "expected.npz", **_numbered(expected[name] for name in outputs))
    np.savez(target / "actual.npz", **_numbered(actual[name] for name in outputs))
    packages = {}
    for name in ("numpy", *runtime_libraries(format_)):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    description = {
        "operators": [{"name": op.name, "type": op.type} for op in operators],
        "model": file.name,
        "inputs": list(inputs.values()),
        "outputs": list(outputs.values()),
        "tolerance": tolerance,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": packages,
    }
    (target / "versions.json").write_text(json.dumps(description, indent=2) + "\n")
    (target / "reproduce.py").write_text(script(format_))
    return target


def _numbered(arrays: Any) -> dict[str, Any]:
    found = {}
    for at, array in enumerate(arrays):
        # Text has no dtype that NPZ stores without pickle, but for fixed-width characters.
        found[str(at)] = array.astype(str) if array.dtype.kind == "O" else array
    return found


def _new_folder(folder: Path, name: str) -> Path:
    stem = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[-60:] or "operator"
    target, at = folder / stem, 1
    while target.exists():
        at += 1
        target = folder / f"{stem}_{at}"
    target.mkdir(parents=True)
    return target


def script(format_: str) -> str:
    """The text of reproduce.py for a format."""
    name = format_ if format_ in MODEL else "tensorflow"
    scripts = Path(__file__).parent / "scripts"
    head, run, tail = ((scripts / f"{part}.tmpl").read_text() for part in ("head", name, "tail"))
    return head + run + tail
