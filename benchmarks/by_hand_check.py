"""Checks the files and the golden outputs of the bundle that it lies in: the by-hand way."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

here = Path(__file__).resolve().parent
for name, digest in json.loads((here / "manifest.json").read_text()).items():
    if hashlib.sha256((here / name).read_bytes()).hexdigest() != digest:
        sys.exit(f"{name} was changed")
signature = json.loads((here / "signature.json").read_text())
given, taken = signature["input"], signature["output"]
run = Interpreter(model_path=str(here / "model.tflite"), num_threads=1).get_signature_runner()
with np.load(here / "golden.npz") as golden:
    inputs, expected = golden["input"], golden["output"]
stored = np.rint(inputs / np.float32(given["scale"])) + given["zero_point"]
stored = stored.clip(-128, 127).astype(np.int8)
rows = [run(**{given["name"]: stored[at : at + 1]})[taken["name"]] for at in range(len(stored))]
found = np.concatenate(rows).astype(np.float32) - taken["zero_point"]
if not np.array_equal(found * np.float32(taken["scale"]), expected):
    sys.exit("the golden outputs differ")
