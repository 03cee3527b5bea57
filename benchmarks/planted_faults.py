"""Faults planted into a CNN and a transformer encoder: how many are named exactly, and how often a
model without a fault is accused.

`python benchmarks/planted_faults.py [onnx|cross]`: the ONNX pairs take seconds, the ones across
formats load TensorFlow. The cases are those of tests/unit/parity.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "parity"))

from taxiway.model.inspect import describe
from taxiway.parity.divergence import first_divergence

FLOAT, INT8 = 1e-4, 2e-2
"""Relative error an operator may have: float32 and int8."""


class Score:
    """Counts of one pair of formats, printed as it goes on."""

    def __init__(self, title: str) -> None:
        self.title, self.named, self.planted = title, 0, 0
        self.alarms, self.clean = 0, 0

    def fault(self, kind: str, operator: str, found: Any) -> None:
        self.planted += 1
        right = found is not None and found.operator == operator
        self.named += right
        if not right:
            other = found.operator if found is not None else "nothing"
            print(f"  {self.title}: {kind} in {operator}: named {other}")

    def healthy(self, found: Any) -> None:
        self.clean += 1
        self.alarms += found is not None
        if found is not None:
            print(f"  {self.title}: false alarm: {found.sentence()}")

    def __str__(self) -> str:
        return (
            f"{self.title:<34} named {self.named}/{self.planted}, "
            f"false alarms {self.alarms}/{self.clean}"
        )


def onnx_pairs(folder: Path) -> Iterator[Score]:
    import onnx
    import onnxruntime
    from planted import BUILDERS, FAULTS, planted, samples

    for name, build in BUILDERS.items():
        score = Score(f"{name}: ONNX -> ONNX")
        inputs = {"x": samples(name)}
        source, file = folder / f"{name}.onnx", folder / "candidate.onnx"
        onnx.save(build(), source)
        reference = describe(source, "onnx")
        for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"):
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
            options.optimized_model_filepath = str(file)
            onnxruntime.InferenceSession(str(source), options)
            score.healthy(
                first_divergence(reference, describe(file, "onnx"), inputs, FLOAT, folder)
            )
        for fault in FAULTS:
            if fault.model == name:
                onnx.save(planted(fault), file)
                found = first_divergence(reference, describe(file, "onnx"), inputs, FLOAT, folder)
                score.fault(fault.kind, fault.operator, found)
        yield score


def cross_pairs(folder: Path) -> Iterator[Score]:
    from planted_keras import BUILDERS, INT8_FAULTS, ONNX_FAULTS, TFLITE_FAULTS, convert

    for name in BUILDERS:
        made = convert(name, folder / name)
        keras = describe(made.keras, "keras")
        saved = describe(made.saved_model, "saved_model")
        onnx = describe(made.onnx, "onnx")
        tflite = describe(made.tflite, "tflite")
        int8 = describe(made.int8, "tflite")
        for title, reference, healthy, faults, suffix, tolerance in (
            ("Keras -> ONNX", keras, [onnx, saved], ONNX_FAULTS, "onnx", FLOAT),
            ("SavedModel -> TFLite", saved, [tflite], TFLITE_FAULTS, "tflite", FLOAT),
            ("ONNX -> TFLite", onnx, [tflite, keras], TFLITE_FAULTS, "tflite", FLOAT),
            ("ONNX -> int8 TFLite", onnx, [int8], INT8_FAULTS, "tflite", INT8),
            ("TFLite -> int8 TFLite", tflite, [int8], INT8_FAULTS, "tflite", INT8),
        ):
            score = Score(f"{name}: {title}")
            for candidate in healthy:
                score.healthy(
                    first_divergence(reference, candidate, made.samples, tolerance, folder)
                )
            target = folder / f"candidate.{suffix}"
            for fault in faults:
                if fault.model == name:
                    operator = fault.plant(healthy[0].path, target)
                    found = first_divergence(
                        reference, describe(target, suffix), made.samples, tolerance, folder
                    )
                    score.fault(fault.kind, operator, found)
            yield score


def main() -> None:
    wanted = sys.argv[1:] or ["onnx", "cross"]
    with tempfile.TemporaryDirectory() as scratch:
        for name, pairs in (("onnx", onnx_pairs), ("cross", cross_pairs)):
            if name in wanted:
                for score in pairs(Path(scratch)):
                    print(score, flush=True)


if __name__ == "__main__":
    main()
