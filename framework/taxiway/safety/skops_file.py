"""The gate of a skops file: every type and function its schema names, and the arrays beside it.

`skops.io` constructs what schema.json describes: a node's `__loader__` says how, its `__module__` and
`__class__` say of what (https://skops.readthedocs.io, "Secure persistence"). Only containers, numbers,
arrays and parts of scikit-learn are on the list; skops' own audit follows when it is loaded.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from taxiway.safety.zip_members import unsafe_members

MAX_SCHEMA = 512 * 2**20
_SKLEARN = (
    "_loss|calibration|cluster|compose|covariance|cross_decomposition|decomposition|"
    "discriminant_analysis|dummy|ensemble|feature_extraction|feature_selection|gaussian_process|"
    "impute|isotonic|kernel_approximation|kernel_ridge|linear_model|metrics|mixture|"
    "model_selection|multiclass|multioutput|naive_bayes|neighbors|neural_network|pipeline|"
    "preprocessing|random_projection|semi_supervised|svm|tree"
)
_CLASS = rf"sklearn\.({_SKLEARN})(\.\w+)*"
_NUMBER = r"numpy\.(float|int|uint|complex)\d+|numpy\.(bool_?|str_|bytes_|longlong|ulonglong|intc)"
_PLAIN = r"builtins\.(int|float|str|bool|list|tuple|dict|set|bytes|NoneType)"
_SCORES = "f_classif|f_regression|chi2|mutual_info_classif|mutual_info_regression"
TYPES = {
    "JsonNode": r"builtins\.\w+",
    "DictNode": r"builtins\.dict|collections\.OrderedDict|sklearn\.utils(\._bunch)?\.Bunch",
    "DefaultDictNode": r"collections\.defaultdict",
    "ListNode": r"builtins\.list",
    "SetNode": r"builtins\.set",
    "TupleNode": r"builtins\.tuple",
    "SliceNode": r"builtins\.slice",
    "BytesNode": r"builtins\.bytes",
    "BytearrayNode": r"builtins\.bytearray",
    "TypeNode": rf"{_PLAIN}|{_NUMBER}",
    "NdArrayNode": rf"numpy\.ndarray|{_NUMBER}",
    "MaskedArrayNode": r"numpy\.ma(\.core)?\.MaskedArray",
    "DTypeNode": rf"numpy\.dtype|numpy\.dtypes?\.\w+DType|{_NUMBER}",
    "RandomStateNode": r"numpy\.random(\.mtrand)?\.RandomState",
    "RandomGeneratorNode": r"numpy\.random(\._generator)?\.Generator",
    "SparseMatrixNode": r"scipy\.sparse(\._\w+)?\.\w+_(matrix|array)",
    "ObjectNode": _CLASS,
    "TreeNode": r"sklearn\.tree\._tree\.Tree",
    "LossNode": r"sklearn\._loss\._loss\.\w+|sklearn\.linear_model\._sgd_fast\.\w+",
    "FunctionNode": rf"sklearn\.feature_selection\._\w+\.({_SCORES})"
    r"|numpy\.(log|log2|log10|log1p|exp|expm1|sqrt|square|abs|absolute|sign|tanh|sin|cos)",
}
"""How a node is constructed -> the types that may be constructed so."""
_COMPILED = {loader: re.compile(types) for loader, types in TYPES.items()}
_KEPT = re.compile(r"[\w-]+\.(npy|npz|bin)")


def allowed(name: str) -> bool:
    """Whether a type or function, by its dotted name, is on the list of the schema's types."""
    return any(types.fullmatch(name) for types in _COMPILED.values())


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. Neither skops nor scikit-learn is imported."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = unsafe_members(archive)
            if found:
                return found
            if archive.getinfo("schema.json").file_size > MAX_SCHEMA:
                return [f"its schema.json is larger than {MAX_SCHEMA >> 20} MiB"]
            found = list(dict.fromkeys(_judge(json.loads(archive.read("schema.json")))))
            return found[:20] or list(_arrays(archive))
    except RecursionError:
        return ["its schema is nested too deeply"]
    except (
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError),
        *(ValueError, KeyError, TypeError, AttributeError),
    ) as error:
        return [f"it is no readable skops file: {error}"]


def _judge(schema: Any) -> Iterator[str]:
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
            if "__loader__" in value or "__class__" in value:
                yield from _node(value)


def _node(node: dict[str, Any]) -> Iterator[str]:
    loader, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
    if loader == "CachedNode":
        return
    types = _COMPILED.get(str(loader))
    if types is None:
        yield f"'{name}' would be made by a {loader}, which can call code"
    elif not types.fullmatch(name):
        yield f"'{name}' is no type of scikit-learn or NumPy that models are made of ({loader})"


def _arrays(archive: zipfile.ZipFile) -> Iterator[str]:
    for member in archive.infolist():
        name = member.filename
        if name == "schema.json":
            continue
        if not _KEPT.fullmatch(name):
            yield f"member {name!r} is no part of a skops file"
        elif name.endswith(".npy"):
            with archive.open(member) as file:
                yield from (f"{name}: {reason}" for reason in _array(file, member.file_size))
        elif name.endswith(".npz"):
            with zipfile.ZipFile(io.BytesIO(archive.read(member))) as inner:
                yield from (f"{name}: {reason}" for reason in unsafe_members(inner))
                for part in inner.infolist():
                    with inner.open(part) as file:
                        yield from (f"{name}: {reason}" for reason in _array(file, part.file_size))


def _array(file: IO[bytes], size: int) -> Iterator[str]:
    """An array of plain values that takes exactly the bytes behind its header."""
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file, max_header_size=10_000)
    if dtype.hasobject:
        yield "it holds pickled objects"
    elif math.prod(shape) * dtype.itemsize != size - file.tell():
        yield f"it claims {math.prod(shape) * dtype.itemsize} bytes and holds {size - file.tell()}"
