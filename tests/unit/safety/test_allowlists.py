"""The checked-in lists are those of the installed libraries: a new op has to be judged first."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from taxiway.safety.allowlist import allowlist
from taxiway.safety.tensorflow_ops import why_not

SCRIPTS = Path(__file__).parents[3] / "docs" / "allowlists"
FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
QUICK = ("onnxruntime_ops", "ort_schema", "tflite_schema")


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_the_list_is_that_of_the_library(name: str) -> None:
    """Those that load TensorFlow run with the full corpus; else their versions must be the same."""
    if not FULL and name not in QUICK:
        pytest.skip("TAXIWAY_ATTACKS=full derives it again")
    script = [sys.executable, str(SCRIPTS / f"{name}.py"), "--check"]
    result = subprocess.run(script, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("tensorflow_ops", "tensorflow"),
        ("keras_objects", "keras"),
        ("keras_objects", "tf_keras"),
        ("onnxruntime_ops", "onnxruntime"),
    ],
)
def test_the_list_is_of_the_installed_version(name: str, library: str) -> None:
    assert allowlist(name)[library] == version(library.replace("_", "-"))


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("WriteFile", "reads or writes files"),
        ("DebugIdentityV2", "writes for a debugger"),
        ("EagerPyFunc", "calls Python"),
        ("TFRecordDatasetV2", "reads a dataset"),
        ("XlaCallModule", "hands a program of its own to a compiler or a plugin"),
        ("XlaHostCompute", "talks to other processes or devices"),
        ("RpcCall", "talks to other processes or devices"),
        ("CreateSummaryFileWriter", "writes summary files"),
        ("Abort", "ends the process"),
        ("DecodeProtoV2", "may read a file of message descriptions"),
        ("Skipgram", "reads or writes files"),
        ("ImmutableConst", "maps a file into memory"),
        ("WordpieceTokenizeWithOffsets", "is none of TensorFlow 2.21.0's own ops"),
        ("TRTEngineOp", "is none of TensorFlow 2.21.0's own ops"),
    ],
)
def test_refused(op: str, reason: str) -> None:
    said = why_not(op, ())
    assert said is not None and said.startswith(reason)


@pytest.mark.parametrize(
    "op",
    [
        *("MatMul", "VarHandleOp", "StatefulPartitionedCall", "HashTableV2", "DecodeJpeg", "RFFT"),
        *("RegexReplace", "SaveV2", "InitializeTableFromTextFileV2", "XlaDynamicUpdateSlice"),
        *("StatelessRandomUniformV2", "TensorListStack", "CudnnRNNV3", "ScalarSummary", "While"),
        *("Assert", "TensorDataset"),
    ],
)
def test_allowed(op: str) -> None:
    assert why_not(op, ()) is None


def test_a_function_of_the_model_is_allowed_unless_it_has_a_refused_name() -> None:
    assert why_not("__inference_f_1", {"__inference_f_1"}) is None
    assert why_not("ReadFile", {"ReadFile"}) == "reads or writes files"


def test_no_name_is_on_two_lists() -> None:
    known = allowlist("tensorflow_ops")
    names = [*known["computes"], *known["saver"], *known["table_file"]]
    names += [op for ops in known["refused"].values() for op in ops]
    assert len(names) == len(set(names)) > 1800
    keras = allowlist("keras_objects")
    assert not set(keras["classes"]) & set(keras["refused"])
