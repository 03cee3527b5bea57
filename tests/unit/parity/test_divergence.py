"""Each planted fault is named exactly, and no model without one is accused."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.model.inspect import describe
from taxiway.parity.divergence import Divergence, first_divergence, largest_errors

FLOAT, INT8 = 1e-4, 2e-2


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planted = _beside("planted")
planted_keras = _beside("planted_keras")


def saved(model: Any, path: Path) -> Any:
    onnx.save(model, path)
    return describe(path, "onnx")


def reproduced(found: Divergence, folder: Path) -> subprocess.CompletedProcess[str]:
    assert found.reproducer is not None
    return subprocess.run(
        [sys.executable, "reproduce.py"],
        cwd=folder / found.reproducer,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("fault", planted.FAULTS, ids=lambda f: f"{f.model}-{f.kind}")
def test_names_the_operator_of_an_onnx_fault(fault: Any, tmp_path: Path) -> None:
    reference = saved(planted.BUILDERS[fault.model](), tmp_path / "reference.onnx")
    candidate = saved(planted.planted(fault), tmp_path / "candidate.onnx")

    found = first_divergence(
        reference, candidate, {"x": planted.samples(fault.model)}, FLOAT, tmp_path
    )

    assert found is not None
    assert found.operator == fault.operator
    assert found.reference_operator == fault.operator
    assert found.introduced is not None and found.introduced > found.tolerance
    assert fault.operator in found.sentence()
    assert found.inputs and (tmp_path / str(found.reproducer) / "reproduce.py").is_file()


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"])
@pytest.mark.parametrize("name", planted.BUILDERS)
def test_accuses_no_optimized_model(name: str, level: str, tmp_path: Path) -> None:
    import onnxruntime

    reference = saved(planted.BUILDERS[name](), tmp_path / "reference.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(tmp_path / "candidate.onnx")
    onnxruntime.InferenceSession(str(reference.path), options)
    candidate = describe(tmp_path / "candidate.onnx", "onnx")

    found = first_divergence(reference, candidate, {"x": planted.samples(name)}, FLOAT, tmp_path)

    assert found is None, found.sentence()


@pytest.mark.parametrize("fault", planted.FAULTS, ids=lambda f: f"{f.model}-{f.kind}")
def test_names_the_operator_without_the_help_of_names(fault: Any, tmp_path: Path) -> None:
    """Tensors of the candidate renamed, as another exporter would."""
    reference = saved(planted.BUILDERS[fault.model](), tmp_path / "reference.onnx")
    model = planted.planted(fault)
    for node in model.graph.node:
        node.input[:] = [f"t_{n}" if n.endswith("_out") else n for n in node.input]
        node.output[:] = [f"t_{n}" if n.endswith("_out") else n for n in node.output]
    candidate = saved(model, tmp_path / "candidate.onnx")

    found = first_divergence(
        reference, candidate, {"x": planted.samples(fault.model)}, FLOAT, tmp_path
    )

    assert found is not None and found.operator == fault.operator


def test_a_reproducer_shows_the_difference_alone(tmp_path: Path) -> None:
    fault = next(f for f in planted.FAULTS if f.kind == "permuted_channels")
    reference = saved(planted.BUILDERS[fault.model](), tmp_path / "reference.onnx")
    candidate = saved(planted.planted(fault), tmp_path / "candidate.onnx")
    folder = tmp_path / "found"
    found = first_divergence(
        reference, candidate, {"x": planted.samples(fault.model)}, FLOAT, folder
    )
    assert found is not None

    shown = reproduced(found, folder)

    assert shown.returncode == 1, shown.stderr
    assert "relative error" in shown.stdout
    files = {path.name for path in (folder / str(found.reproducer)).iterdir()}
    assert {"model.onnx", "inputs.npz", "expected.npz", "actual.npz", "versions.json"} <= files


def test_an_operator_in_a_loop_of_the_graph_is_judged_as_the_loop(tmp_path: Path) -> None:
    """A subgraph that captures an outer weight is run with it."""

    def model(factor: float) -> Any:
        body = helper.make_graph(
            [
                helper.make_node("Mul", ["state", "weight"], ["scaled"], "inner"),
                helper.make_node("Identity", ["go"], ["still"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
            ],
            [
                helper.make_tensor_value_info("still", TensorProto.BOOL, []),
                helper.make_tensor_value_info("scaled", TensorProto.FLOAT, None),
            ],
        )
        graph = helper.make_graph(
            [
                helper.make_node("Tanh", ["x"], ["bounded"], "bound"),
                helper.make_node("Loop", ["trips", "", "bounded"], ["looped"], "loop", body=body),
                helper.make_node("Exp", ["looped"], ["y"], "result"),
            ],
            "outer",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
            [
                numpy_helper.from_array(np.int64(3), "trips"),
                numpy_helper.from_array(np.full(4, factor, np.float32), "weight"),
            ],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    reference = saved(model(1.5), tmp_path / "reference.onnx")
    candidate = saved(model(1.6), tmp_path / "candidate.onnx")
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)

    found = first_divergence(reference, candidate, {"x": x}, FLOAT, tmp_path)

    assert found is not None and (found.operator, found.op_type) == ("loop", "Loop")


def test_the_largest_errors_come_first(tmp_path: Path) -> None:
    reference = saved(planted.cnn(), tmp_path / "reference.onnx")
    candidate = saved(planted.cnn(), tmp_path / "candidate.onnx")

    listed = largest_errors(reference, candidate, {"x": planted.samples("cnn")}, count=3)

    assert len(listed) == 3
    assert [item.error for item in listed] == sorted((i.error for i in listed), reverse=True)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("converted")
    return {name: planted_keras.convert(name, folder / name) for name in planted_keras.BUILDERS}


def _reference(made: Any, format_: str) -> Any:
    path = {"keras": made.keras, "saved_model": made.saved_model, "onnx": made.onnx}
    path["tflite"] = made.tflite
    return describe(path[format_], format_)


@pytest.mark.slow
@pytest.mark.parametrize("fault", planted_keras.ONNX_FAULTS, ids=lambda f: f"{f.model}-{f.kind}")
def test_names_the_onnx_operator_against_keras(
    fault: Any, converted: dict[str, Any], tmp_path: Path
) -> None:
    made = converted[fault.model]
    operator = fault.plant(made.onnx, tmp_path / "candidate.onnx")
    candidate = describe(tmp_path / "candidate.onnx", "onnx")

    found = first_divergence(
        _reference(made, "keras"), candidate, made.samples, FLOAT, tmp_path / "found"
    )

    assert found is not None and found.operator == operator


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["saved_model", "onnx"])
@pytest.mark.parametrize("fault", planted_keras.TFLITE_FAULTS, ids=lambda f: f"{f.model}-{f.kind}")
def test_names_the_tflite_operator(
    fault: Any, format_: str, converted: dict[str, Any], tmp_path: Path
) -> None:
    made = converted[fault.model]
    operator = fault.plant(made.tflite, tmp_path / "candidate.tflite")
    candidate = describe(tmp_path / "candidate.tflite", "tflite")

    found = first_divergence(
        _reference(made, format_), candidate, made.samples, FLOAT, tmp_path / "found"
    )

    assert found is not None and found.operator == operator
    assert reproduced(found, tmp_path / "found").returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["onnx", "tflite"])
@pytest.mark.parametrize("fault", planted_keras.INT8_FAULTS, ids=lambda f: f"{f.model}-{f.kind}")
def test_names_the_int8_operator(
    fault: Any, format_: str, converted: dict[str, Any], tmp_path: Path
) -> None:
    made = converted[fault.model]
    operator = fault.plant(made.int8, tmp_path / "candidate.tflite")
    candidate = describe(tmp_path / "candidate.tflite", "tflite")

    found = first_divergence(
        _reference(made, format_), candidate, made.samples, INT8, tmp_path / "found"
    )

    assert found is not None and found.operator == operator


@pytest.mark.slow
@pytest.mark.parametrize("name", planted_keras.BUILDERS)
def test_accuses_no_converted_model(name: str, converted: dict[str, Any], tmp_path: Path) -> None:
    made = converted[name]
    models = {f: _reference(made, f) for f in ("keras", "saved_model", "onnx", "tflite")}
    int8 = describe(made.int8, "tflite")
    for ours, reference in models.items():
        for theirs, candidate in models.items():
            found = first_divergence(reference, candidate, made.samples, FLOAT, tmp_path)
            assert found is None, f"{ours} -> {theirs}: {found.sentence()}"
        found = first_divergence(reference, int8, made.samples, INT8, tmp_path)
        assert found is None, f"{ours} -> int8: {found.sentence()}"


@pytest.mark.slow
def test_names_the_keras_operator_and_reproduces_it(
    converted: dict[str, Any], tmp_path: Path
) -> None:
    """The faulty file as the reference: what Keras does differently is named in Keras's terms."""
    made = converted["cnn"]
    fault = next(f for f in planted_keras.ONNX_FAULTS if f.kind == "wrong_activation")
    fault.plant(made.onnx, tmp_path / "reference.onnx")

    found = first_divergence(
        describe(tmp_path / "reference.onnx", "onnx"),
        _reference(made, "keras"),
        made.samples,
        FLOAT,
        tmp_path / "found",
    )

    assert found is not None and found.op_type == "Relu" and "stem_relu" in found.operator
    assert reproduced(found, tmp_path / "found").returncode == 1
