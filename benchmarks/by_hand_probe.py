"""Latency and peak memory of a .tflite in a process without TensorFlow: the by-hand way.

python -I by_hand_probe.py MODEL.tflite INPUTS.npy
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, inputs = sys.argv[1:]
runner = Interpreter(model_path=model, num_threads=1).get_signature_runner()
((name, given),) = runner.get_input_details().items()
((output, taken),) = runner.get_output_details().items()
(in_scale, in_zero), (out_scale, out_zero) = given["quantization"], taken["quantization"]
rows = np.load(inputs)


def predict(rows: np.ndarray) -> np.ndarray:
    stored = (np.rint(rows / np.float32(in_scale)) + in_zero).clip(-128, 127).astype(np.int8)
    result = runner(**{name: stored})[output]
    return (result.astype(np.float32) - out_zero) * np.float32(out_scale)


for _ in range(10):
    predict(rows[:1])
seconds: list[float] = []
end = time.perf_counter() + 1.0
while len(seconds) < 20 or (len(seconds) < 500 and time.perf_counter() < end):
    at = len(seconds) % len(rows)
    start = time.perf_counter()
    predict(rows[at : at + 1])
    seconds.append(time.perf_counter() - start)
status = Path("/proc/self/status").read_text().splitlines()
figures = {
    "latency_p50": float(np.percentile(seconds, 50)),
    "latency_p95": float(np.percentile(seconds, 95)),
    "peak_memory": next(int(x.split()[1]) * 1024 for x in status if x.startswith("VmHWM:")),
}
print(json.dumps(figures))
