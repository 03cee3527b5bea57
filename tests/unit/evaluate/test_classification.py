from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.data.npz import Npz
from taxiway.errors import StepError
from taxiway.evaluate.classification import Classification
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Context, Dataset, Measurement, Selection

N = 90
METRICS = {"accuracy", "agreement", "latency_p50", "latency_p95", "size", "peak_memory"}


def linear(path: Path, weights: Any, two_outputs: bool = False) -> Model:
    """scores = x @ weights; with two outputs, a sum that is no score comes first."""
    array = np.array(weights, np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", array.shape[1]])]
    if two_outputs:
        nodes.append(helper.make_node("Neg", ["scores"], ["aux"]))
        outputs.insert(0, helper.make_tensor_value_info("aux", TensorProto.FLOAT, ["n", 3]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", array.shape[0]])],
        outputs,
        [numpy_helper.from_array(array, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return describe(path, "onnx")


def dataset(folder: Path, **arrays: Any) -> Dataset:
    labels = np.arange(N) % 3
    np.savez(folder / "d.npz", **{"x": np.eye(3)[labels], "y": labels, **arrays})
    options = {"type": "npz", "path": str(folder / "d.npz"), "splits": {"test": {"rows": ":"}}}
    return Npz().open(msgspec.convert(options, Npz.Config), 0)


def evaluate(
    folder: Path,
    model: Model,
    data: Dataset | None,
    baseline: Measurement | None = None,
    **options: Any,
) -> Measurement:
    config = msgspec.convert({"type": "classification", **options}, Classification.Config)
    workdir = Path(tempfile.mkdtemp(dir=folder))
    context = Context(workdir=workdir, baseline=baseline, data=data)
    figures = Classification().run(model, config, context)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert [file.name for file in workdir.iterdir()] == ["predictions.npy"]
    return Measurement(figures, workdir)


def test_result_beside_its_source(tmp_path: Path) -> None:
    source = linear(tmp_path / "source.onnx", np.eye(3))
    # Takes class 2 for class 1.
    result = linear(tmp_path / "result.onnx", [[1, 0, 0], [0, 1, 0], [0, 2, 1]])
    data = dataset(tmp_path)
    before = evaluate(tmp_path, source, data, batch_size=7)
    after = evaluate(tmp_path, result, data, before, batch_size=7)
    assert before.figures.keys() == METRICS - {"agreement"} | {"n", "runtime", "format"}
    assert after.figures.keys() == METRICS | {"n", "runtime", "format"}
    assert after.figures["agreement"] == pytest.approx(2 / 3)
    for measured, accuracy, model in ((before, 1.0, source), (after, 2 / 3, result)):
        figures = measured.figures
        assert figures["n"] == N
        assert figures["accuracy"] == pytest.approx(accuracy)
        assert (figures["runtime"], figures["format"]) == ("ONNX Runtime", "onnx")
        assert figures["size"] == model.path.stat().st_size
        assert 0 < figures["latency_p50"] <= figures["latency_p95"]
        assert 10 * 2**20 < figures["peak_memory"] < 2**30


def test_agreement_is_not_accuracy(tmp_path: Path) -> None:
    wrong = linear(tmp_path / "source.onnx", np.roll(np.eye(3), 1, axis=1))
    same = linear(tmp_path / "result.onnx", 2 * np.roll(np.eye(3), 1, axis=1))
    data = dataset(tmp_path)
    figures = evaluate(tmp_path, same, data, evaluate(tmp_path, wrong, data)).figures
    assert (figures["accuracy"], figures["agreement"]) == (0.0, 1.0)


def test_some_samples(tmp_path: Path) -> None:
    result = linear(tmp_path / "result.onnx", np.eye(3))
    assert evaluate(tmp_path, result, dataset(tmp_path), samples=10).figures["n"] == 10


@pytest.mark.parametrize(("output", "accuracy"), [("scores", 1.0), (None, 0.0)])
def test_output(tmp_path: Path, output: str | None, accuracy: float) -> None:
    two = linear(tmp_path / "two.onnx", np.eye(3), two_outputs=True)
    one = linear(tmp_path / "one.onnx", np.eye(3))
    data = dataset(tmp_path)
    assert evaluate(tmp_path, two, data, output=output).figures["accuracy"] == accuracy
    assert evaluate(tmp_path, one, data, output=output).figures["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("weights", "arrays", "message"),
    [
        ([[math.nan] * 3] * 3, {}, "not finite"),
        (np.eye(3), {"y": np.full(N, 3)}, "the model has 3 classes"),
        (np.eye(3), {"x": np.zeros((N, 4))}, "input 'x'"),
    ],
    ids=["NaN", "label range", "other shape"],
)
def test_what_does_not_fit(
    tmp_path: Path, weights: Any, arrays: dict[str, Any], message: str
) -> None:
    result = linear(tmp_path / "result.onnx", weights)
    with pytest.raises(StepError, match=message):
        evaluate(tmp_path, result, dataset(tmp_path, **arrays))


def test_without_data(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="needs data"):
        evaluate(tmp_path, linear(tmp_path / "m.onnx", np.eye(3)), None)


def test_it_reads_labelled_rows_of_its_split() -> None:
    options = Classification.Config(split="holdout", samples=7)
    assert Classification().reads(options) == (Selection("holdout", 7, labels=True),)


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"accuracy": {"max_drop": "1 pt"}}, "accuracy.max_drop: it compares"),
        ({"agreement": {"min": 0.9}}, "agreement.min: it compares"),
    ],
)
def test_gates_that_need_the_baseline(gates: dict[str, Any], message: str) -> None:
    options = {"type": "classification", "baseline": "none", "gates": gates}
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(options, Classification.Config)


@pytest.mark.slow
def test_reference_models_reach_their_published_accuracy(tmp_path: Path, mlperf_tiny: Path) -> None:
    """MLPerf Tiny keyword spotting: 91.3 % for the SavedModel, 90.2 % for its int8 model."""
    options = {
        "type": "npz",
        "path": str(mlperf_tiny / "kws/samples.npz"),
        "inputs": "mfcc",
        "labels": "label",
        "splits": {"test": {"fraction": 1.0}},
    }
    data = Npz().open(msgspec.convert(options, Npz.Config), 0)
    source = describe(mlperf_tiny / "kws/saved_model", "saved_model")
    result = describe(mlperf_tiny / "kws/vendor_int8.tflite", "tflite")
    before = evaluate(tmp_path, source, data)
    after = evaluate(tmp_path, result, data, before).figures
    assert before.figures["accuracy"] == pytest.approx(0.913, abs=5e-4)
    assert after["accuracy"] == pytest.approx(0.902, abs=5e-3)
    assert before.figures["runtime"] == "TensorFlow"
    assert after["peak_memory"] < 150 * 2**20
