"""The parent process asks every implementation for its options and libraries: that stays light."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
from taxiway.plugins import registry
for plugin in registry().section(sys.argv[1]).values():
    for format in plugin.accepts:
        plugin.implementation(format)
print(json.dumps(sorted(sys.modules)))
"""
HEAVY = {"numpy", "onnx", "onnxruntime", "tensorflow", "keras", "tf2onnx", "ai_edge_quantizer"}


@pytest.mark.parametrize(
    ("section", "package"), [("converter", "convert"), ("optimize", "optimize")]
)
def test_implementations_import_nothing_heavy(section: str, package: str) -> None:
    command = [sys.executable, "-c", SCRIPT, section]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    modules = set(json.loads(output))
    assert any(name.startswith(f"taxiway.{package}.") for name in modules)
    assert not HEAVY & modules
