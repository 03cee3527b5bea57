"""The operators that the installed onnx2tf has converters for."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from taxiway.errors import PluginError

_NO_TENSORS = re.compile("(?<!Reverse)Sequence|Optional")
"""onnx2tf keeps sequences and optional values as Python lists, which no TensorFlow graph takes."""


@cache
def converted_ops() -> frozenset[str]:
    """Operators that the installed onnx2tf has a converter for: a module each in `onnx2tf/ops`.

    onnx2tf itself is not imported. Raises PluginError where it is not installed.
    """
    spec = find_spec("onnx2tf")
    folders = (spec.submodule_search_locations or []) if spec else []
    names = {file.stem for folder in folders for file in Path(folder, "ops").glob("*.py")}
    if not names:
        raise PluginError("onnx2tf is not installed", "pip install 'taxiway[tensorflow]'")
    tensors_only = (n for n in names if not (n.startswith("_") or _NO_TENSORS.search(n)))
    return frozenset(tensors_only) - {"Input", "StringNormalizer"}
