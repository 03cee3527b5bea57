"""The ops that ONNX Runtime adds to those of the ONNX standard, less those that need more than it.

python docs/allowlists/onnxruntime_ops.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parents[2] / "framework/taxiway/safety/lists/onnxruntime_ops.json"
DOMAINS = ("", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
NOT_OURS = re.compile(r"EPContext|Snpe|SampleOp|Memcpy(From|To)Host|\w+_TRT")
"""Binaries made for one accelerator, copies between devices, and an example."""


def lists() -> dict[str, object]:
    """`onnxruntime`: its version; `domains`: domain -> sorted names of ops beyond the standard's."""
    import onnx
    import onnxruntime
    from onnxruntime.capi import _pybind_state as runtime

    standard = {(op.domain, op.name) for op in onnx.defs.get_all_schemas_with_history()}
    own = {(op.domain, op.name) for op in runtime.get_all_operator_schema()} - standard
    domains = {
        domain: sorted(
            name for where, name in own if where == domain and not NOT_OURS.fullmatch(name)
        )
        for domain in DOMAINS
    }
    return {"onnxruntime": onnxruntime.__version__, "domains": domains}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="say whether it differs, write nothing"
    )
    text = json.dumps(lists(), indent=1) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET.name} is not that of the installed ONNX Runtime")
    return 1


if __name__ == "__main__":
    sys.exit(main())
