"""What onnx2tf lacks, said without loading it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import pytest

from taxiway.convert.from_onnx.converters import converted_ops
from taxiway.convert.preflight_onnx_tflite import missing_ops

pytestmark = pytest.mark.skipif(
    find_spec("onnx2tf") is None, reason="its folder is what the preflight lists"
)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({("", "Conv"): 3, ("", "Relu"): 2}, []),
        ({("", "GroupNormalization"): 1, ("", "Swish"): 1}, []),
        ({("", "BitwiseAnd"): 1}, []),
        ({("", "Constant"): 4}, []),
        ({("", "Scan"): 2, ("", "MaxRoiPool"): 1}, ["MaxRoiPool (1 node)", "Scan (2 nodes)"]),
        (
            {("ai.onnx.ml", "TreeEnsembleClassifier"): 1},
            ["ai.onnx.ml.TreeEnsembleClassifier (1 node)"],
        ),
        ({("ai.onnx.ml", "LinearRegressor"): 1, ("ai.onnx.ml", "Scaler"): 1}, []),
        ({("com.microsoft", "Gelu"): 2}, ["com.microsoft.Gelu (2 nodes)"]),
        ({("", "SequenceAt"): 1}, ["SequenceAt (1 node)"]),
        ({("", "ReverseSequence"): 1}, []),
        ({("", "StringNormalizer"): 1}, ["StringNormalizer (1 node)"]),
    ],
    ids=lambda value: None if isinstance(value, list) else " ".join(op for _, op in value),
)
def test_missing_operators(counts: dict[tuple[str, str], int], expected: list[str]) -> None:
    assert missing_ops(Counter(counts)) == expected


def test_the_list_is_that_of_the_installed_onnx2tf() -> None:
    assert {"Conv", "LSTM", "Resize", "If"} <= converted_ops()
    assert not {"Input", "_Loop", "__init__", "Scan"} & converted_ops()


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from taxiway.convert.preflight_onnx_tflite import missing_ops; "
        "missing_ops({('', 'Conv'): 1}); "
        "heavy = {'tensorflow', 'onnx2tf', 'onnx', 'numpy', 'onnxruntime'} & {*sys.modules}; "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
