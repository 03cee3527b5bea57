"""The layout of ONNX Runtime's own flatbuffer (.ort), read off the classes that flatc generated for it.

They come with onnxruntime's tools; docs/allowlists/tflite_schema.py says how they are read.

    python docs/allowlists/ort_schema.py [--check]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "framework/taxiway/safety/lists/ort_schema.json"
_SLOT = re.compile(r"self\._tab\.Offset\((\d+)\)")
_NUMBER = re.compile(r"number_types\.(\w+)Flags, [oa] \+")
_TABLE = re.compile(r"obj = (\w+)\(\)")
_WIDTH = re.compile(r"py_type\(j\) \* (\d+)")
_UNION = {"TypeInfo.Value": "TypeInfoValue"}
_MEMBERS = {
    "tensor_type": "TensorTypeAndShape",
    "sequence_type": "SequenceType",
    "map_type": "MapType",
}
"""The schema names members of a union as ONNX does; flatc's classes are named after the tables."""


def _field(table: str, name: str, source: str) -> list[Any] | None:
    """`[slot, kind, of]` of one accessor; None for the helpers beside it."""
    slot = _SLOT.search(source)
    if not slot or name.endswith(("AsNumpy", "IsNone")) or "VectorLen" in source:
        return None
    at, vector = int(slot[1]), "self._tab.Vector(o)" in source
    if "self._tab.Union(" in source:
        return [at, "union", _UNION[f"{table}.{name}"]]
    if "self._tab.String(" in source:
        return [at, "strings" if vector else "string", None]
    if found := _TABLE.search(source):
        if "Indirect" in source:
            return [at, "tables" if vector else "table", found[1]]
        width = _WIDTH.search(source)
        assert vector and width, source
        return [at, "structs", int(width[1])]
    number = _NUMBER.search(source)
    assert number, source
    return [at, "numbers" if vector else "number", number[1].lower()]


def _generated() -> dict[str, Any]:
    importlib.import_module("onnxruntime.tools.ort_format_model")
    package = importlib.import_module("ort_flatbuffers_py.fbs")
    found = {}
    for module in sorted(entry.name for entry in pkgutil.iter_modules(package.__path__)):
        found[module] = getattr(importlib.import_module(f"{package.__name__}.{module}"), module)
    return found


def schema() -> dict[str, Any]:
    """`tables`, and `unions` (numbers -> table names)."""
    classes = _generated()
    tables = {}
    for name, kind in classes.items():
        if not hasattr(kind, "GetRootAs"):
            continue
        read = {
            field: _field(name, field, inspect.getsource(method))
            for field, method in vars(kind).items()
            if inspect.isfunction(method)
        }
        tables[name] = {field: layout for field, layout in read.items() if layout}
    unions = {
        union: {
            str(number): _MEMBERS[member]
            for member, number in vars(classes[union]).items()
            if isinstance(number, int) and number
        }
        for union in _UNION.values()
    }
    return {"tables": tables, "unions": unions}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="say whether it differs, write nothing"
    )
    text = json.dumps(schema(), separators=(",", ":")).replace('},"', '},\n"') + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET.name} is not that of the installed ONNX Runtime")
    return 1


if __name__ == "__main__":
    sys.exit(main())
