"""The layout of TFLite's flatbuffer, read off the classes that flatc generated for LiteRT.

The verifier of the safety gate needs every field of every table: its slot in the vtable, and whether
it is a scalar, a string, a table, a union or a vector of these. The generated code shows that in how
each accessor reads (https://flatbuffers.dev/internals/).

    python docs/allowlists/tflite_schema.py [--check]
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[2] / "framework/taxiway/safety/lists/tflite_schema.json"
_SLOT = re.compile(r"self\._tab\.Offset\((\d+)\)")
_NUMBER = re.compile(r"number_types\.(\w+)Flags, [oa] \+")
_TABLE = re.compile(r"obj = (\w+)\(\)")
UNIONS = ("BuiltinOptions", "BuiltinOptions2", "QuantizationDetails", "SparseIndexVector")
NO_KERNEL = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES", "STABLEHLO_CUSTOM_CALL")
"""Names that stand for code outside of LiteRT, or for none."""
_FIELD_UNION = {"Details": "QuantizationDetails"}


def _field(name: str, source: str) -> list[Any] | None:
    """`[slot, kind, of]` of one accessor; None for the helpers beside it."""
    slot = _SLOT.search(source)
    if not slot or name.endswith(("AsNumpy", "IsNone")) or "VectorLen" in source:
        return None
    vector = "self._tab.Vector(o)" in source
    if "self._tab.Union(" in source:
        union = next((u for u in UNIONS if u == name), _FIELD_UNION.get(name, "SparseIndexVector"))
        return [int(slot[1]), "union", union]
    if "self._tab.String(" in source:
        return [int(slot[1]), "strings" if vector else "string", None]
    if table := _TABLE.search(source):
        return [int(slot[1]), "tables" if vector else "table", table[1]]
    number = _NUMBER.search(source)
    assert number, source
    return [int(slot[1]), "numbers" if vector else "number", number[1].lower()]


def _names(enumeration: type) -> dict[str, int]:
    return {name: value for name, value in vars(enumeration).items() if isinstance(value, int)}


def schema() -> dict[str, Any]:
    """`tables`, `unions` (numbers -> table names), `operators` and `types` (numbers -> names)."""
    from ai_edge_litert import schema_py_generated as generated

    tables = {}
    for name, kind in vars(generated).items():
        if not inspect.isclass(kind) or not hasattr(kind, "GetRootAs"):
            continue
        read = {
            field: _field(field, inspect.getsource(method))
            for field, method in vars(kind).items()
            if inspect.isfunction(method)
        }
        tables[name] = {field: layout for field, layout in read.items() if layout}
    unions = {
        union: {str(n): t for t, n in _names(getattr(generated, union)).items() if n}
        for union in UNIONS
    }
    operators = {
        str(number): operator
        for operator, number in _names(generated.BuiltinOperator).items()
        if operator not in NO_KERNEL
    }
    types = {str(number): name for name, number in _names(generated.TensorType).items()}
    return {"tables": tables, "unions": unions, "operators": operators, "types": types}


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
    print(f"{TARGET.name} is not that of the installed LiteRT")
    return 1


if __name__ == "__main__":
    sys.exit(main())
