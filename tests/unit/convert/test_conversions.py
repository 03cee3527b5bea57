"""Real conversions of real models: same names, same numbers, same bytes in every process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner

pytestmark = pytest.mark.slow

_SCRIPT = Path(__file__).with_name("keras_models.py")
_spec = importlib.util.spec_from_file_location("keras_models", _SCRIPT)
assert _spec and _spec.loader
models: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(models)

NAMES = ["cnn", "gelu", "two_in_lists", "two_in_dicts", "tokens", "lstm"]
CASES = [
    (name, chain)
    for name in NAMES
    for chain in models.CHAINS
    if (name, chain) not in models.IMPOSSIBLE
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras")
    for name, model in models.build():
        model.save(path / f"{name}.keras")
    return path


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[tuple[str, str], Model]:
    return {
        (name, chain): models.chain(
            describe(folder / f"{name}.keras", "keras"), chain, models.BATCH.get(name)
        )
        for name, chain in CASES
    }


def samples(model: Model, count: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    return {
        spec.name: rng.integers(0, 10, (count, *spec.shape[1:])).astype(spec.dtype)
        if spec.dtype.startswith("int")
        else rng.normal(size=(count, *spec.shape[1:])).astype(spec.dtype)
        for spec in model.signature.inputs
    }


def assert_same_numbers(source: Model, result: Model) -> None:
    inputs = samples(source, 5)
    expected, found = open_runner(source).predict(inputs), open_runner(result).predict(inputs)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("name", "chain"), CASES, ids=[f"{n} {c}" for n, c in CASES])
def test_the_result_computes_what_the_source_does(
    name: str, chain: str, folder: Path, results: dict[tuple[str, str], Model]
) -> None:
    assert_same_numbers(describe(folder / f"{name}.keras", "keras"), results[name, chain])


def test_another_process_writes_the_same_bytes(
    folder: Path, results: dict[tuple[str, str], Model]
) -> None:
    output = subprocess.run(
        [sys.executable, str(_SCRIPT), str(folder)],
        env={**os.environ, "PYTHONHASHSEED": "11", "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    elsewhere = json.loads(output.splitlines()[-1])
    here = {f"{name} {chain}": models.digest(result) for (name, chain), result in results.items()}
    assert elsewhere == here


@pytest.mark.parametrize("name", ["cnn", "two_in_lists"])
def test_the_batch_stays_free(name: str, results: dict[tuple[str, str], Model]) -> None:
    for chain in models.CHAINS:
        signature = results[name, chain].signature
        assert {spec.shape[0] for spec in signature.inputs} == {"batch"}


@pytest.mark.parametrize("source", ["keras", "saved_model"])
def test_the_batch_can_be_fixed(
    source: str, folder: Path, results: dict[tuple[str, str], Model]
) -> None:
    original = describe(folder / "two_in_lists.keras", "keras")
    model = original if source == "keras" else results["two_in_lists", "saved_model"]
    result = models.convert(model, "tflite", batch=2)
    assert {spec.shape[0] for spec in result.signature.inputs} == {2}
    assert_same_numbers(original, result)


def test_a_saved_loop_with_a_free_batch_says_what_to_do(
    results: dict[tuple[str, str], Model],
) -> None:
    with pytest.raises(StepError, match="recurrent") as caught:
        models.convert(results["lstm", "saved_model"], "tflite")
    assert "convert.batch=1" in (caught.value.hint or "")


def test_gelu_in_tflite_is_no_onnx_op(folder: Path) -> None:
    with pytest.raises(StepError, match="TFL_GELU"):
        models.chain(describe(folder / "gelu.keras", "keras"), "tflite-onnx")


@pytest.mark.parametrize("opset", [13, 18])
def test_opsets(opset: int, folder: Path, results: dict[tuple[str, str], Model]) -> None:
    import onnx

    result = models.convert(results["gelu", "saved_model"], "onnx", opset=opset)
    assert [entry.version for entry in onnx.load(result.path).opset_import if not entry.domain] == [
        opset
    ]
    assert_same_numbers(describe(folder / "gelu.keras", "keras"), result)


@pytest.fixture
def saved_function(tmp_path: Path) -> Any:
    import tensorflow as tf

    def save(body: Any) -> Model:
        module = tf.Module()
        spec = tf.TensorSpec([None, 3, 3], tf.float32, "x")
        function = tf.function(lambda x: {"y": body(tf, x)}, input_signature=[spec])
        tf.saved_model.save(
            module, str(tmp_path / "m"), signatures=function.get_concrete_function()
        )
        return describe(tmp_path / "m", "saved_model")

    return save


@pytest.mark.parametrize(
    ("body", "to", "message", "hint"),
    [
        (lambda tf, x: tf.linalg.inv(x), "tflite", "MatrixInverse", "convert.select_tf_ops=true"),
        (lambda tf, x: tf.math.betainc(x, x, x), "tflite", "Betainc", "convert=onnx"),
        (lambda tf, x: tf.linalg.inv(x), "onnx", "MatrixInverse", "rewrite"),
    ],
    ids=["flex", "custom", "onnx"],
)
def test_ops_without_a_counterpart_are_named(
    body: Any, to: str, message: str, hint: str, saved_function: Any
) -> None:
    with pytest.raises(StepError, match=message) as caught:
        models.convert(saved_function(body), to)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("chain", models.CHAINS)
def test_an_old_h5_goes_through_tf_keras(chain: str, mlperf_tiny: Path) -> None:
    source = describe(mlperf_tiny / "vww" / "mobilenet_v1_025_96.h5", "keras")
    assert_same_numbers(source, models.chain(source, chain))


@pytest.mark.parametrize("to", ["tflite", "onnx"])
def test_a_foreign_saved_model(to: str, mlperf_tiny: Path) -> None:
    source = describe(mlperf_tiny / "kws" / "saved_model", "saved_model")
    assert_same_numbers(source, models.convert(source, to))


def test_an_int8_tflite_becomes_onnx_with_real_inputs(mlperf_tiny: Path) -> None:
    source = describe(mlperf_tiny / "kws" / "vendor_int8.tflite", "tflite")
    result = models.convert(source, "onnx")
    (spec,) = result.signature.inputs
    assert (spec.name, spec.dtype) == (source.signature.inputs[0].name, "float32")
    inputs = {spec.name: np.load(mlperf_tiny / "kws" / "samples.npz")["mfcc"][:200]}
    inputs = {name: array.reshape(-1, *spec.shape[1:]) for name, array in inputs.items()}
    expected, found = open_runner(source).predict(inputs), open_runner(result).predict(inputs)
    for name, values in expected.items():
        assert (found[name].argmax(1) == values.argmax(1)).mean() >= 0.98
