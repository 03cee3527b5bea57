"""LSTM, GRU and RNN of ONNX in TFLite: the numbers of ONNX Runtime, with a free batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.model import Model
from taxiway.model.inspect import describe

pytestmark = pytest.mark.slow

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": ["y", "h", "c"], "GRU": ["y", "h"], "RNN": ["y", "h"]}
FEATURES, UNITS = 3, 5


@dataclass(frozen=True)
class Case:
    """attributes: of the node. optional: inputs besides x, w and r. steps: None for a free time axis."""

    op: str
    attributes: dict[str, Any] = field(default_factory=dict)
    optional: tuple[str, ...] = ("b",)
    steps: int | None = 6

    @property
    def directions(self) -> int:
        return 2 if self.attributes.get("direction") == "bidirectional" else 1

    def node(self) -> Any:
        from onnx import helper

        order = ("b", "lengths", "h0", "c0", "p")
        names = [name if name in self.optional else "" for name in order]
        if self.op != "LSTM":
            names = names[:3]
        return helper.make_node(
            self.op,
            ["x", "w", "r", *names],
            OUTPUTS[self.op],
            hidden_size=UNITS,
            **self.attributes,
        )

    def write(self, path: Path) -> None:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        random, count, gates = np.random.default_rng(0), self.directions, GATES[self.op]
        shapes = {
            "w": (count, gates * UNITS, FEATURES),
            "r": (count, gates * UNITS, UNITS),
            "b": (count, 2 * gates * UNITS),
            "p": (count, 3 * UNITS),
        }
        weights = {
            name: random.normal(size=shape).astype(np.float32) / 2
            for name, shape in shapes.items()
            if name in ("w", "r", *self.optional)
        }
        real, whole = TensorProto.FLOAT, TensorProto.INT32
        inputs = [("x", real, [self.steps or "time", "batch", FEATURES])]
        inputs += [
            (name, whole, ["batch"]) if name == "lengths" else (name, real, [count, "batch", UNITS])
            for name in self.optional
            if name in ("lengths", "h0", "c0")
        ]
        results = [("y", real, [self.steps or "time", count, "batch", UNITS])]
        results += [(name, real, [count, "batch", UNITS]) for name in OUTPUTS[self.op][1:]]
        graph = helper.make_graph(
            [self.node()],
            "recurrent",
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in results],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)

    def inputs(self, batch: int, steps: int) -> dict[str, Any]:
        random = np.random.default_rng(batch)
        state = (self.directions, batch, UNITS)
        values = {
            "x": random.normal(size=(steps, batch, FEATURES)).astype(np.float32),
            "lengths": random.integers(1, steps + 1, batch).astype(np.int32),
            "h0": random.normal(size=state).astype(np.float32),
            "c0": random.normal(size=state).astype(np.float32),
        }
        return {name: values[name] for name in ("x", *self.optional) if name in values}


BOTH = {"direction": "bidirectional"}
CASES = {
    "LSTM": Case("LSTM"),
    "LSTM, no bias": Case("LSTM", optional=()),
    "LSTM reverse": Case("LSTM", {"direction": "reverse"}),
    "LSTM bidirectional, states": Case("LSTM", BOTH, ("b", "h0", "c0")),
    "LSTM peepholes": Case("LSTM", BOTH, ("b", "p")),
    "LSTM input_forget": Case("LSTM", {"input_forget": 1}),
    "LSTM clip": Case("LSTM", {"clip": 0.4}),
    "LSTM activations": Case(
        "LSTM",
        {
            "activations": ["HardSigmoid", "Softsign", "ScaledTanh"],
            "activation_alpha": [0.3, 0.9],
            "activation_beta": [0.4, 0.7],
        },
    ),
    "LSTM lengths": Case("LSTM", BOTH, ("b", "lengths")),
    "LSTM free time": Case("LSTM", BOTH, steps=None),
    "LSTM free time, lengths": Case("LSTM", BOTH, ("b", "lengths"), steps=None),
    "LSTM long": Case("LSTM", steps=300),
    "GRU": Case("GRU"),
    "GRU reverse, no bias": Case("GRU", {"direction": "reverse"}, ()),
    "GRU linear_before_reset": Case("GRU", {"linear_before_reset": 1}),
    "GRU bidirectional, states": Case("GRU", BOTH | {"linear_before_reset": 1}, ("b", "h0")),
    "GRU activations": Case(
        "GRU",
        {
            "activations": ["HardSigmoid", "LeakyRelu"],
            "activation_alpha": [0.3, 0.2],
            "activation_beta": [0.4],
        },
    ),
    "GRU free time": Case("GRU", {"direction": "reverse"}, steps=None),
    "RNN": Case("RNN"),
    "RNN bidirectional": Case("RNN", BOTH | {"activations": ["Relu", "Tanh"]}, ("b", "h0")),
    "RNN affine": Case(
        "RNN", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}
    ),
}


def _onnx_runtime(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _litert(path: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """By the interpreter itself: the batch is the second axis."""
    from ai_edge_litert.interpreter import Interpreter

    found: dict[str, Any] = Interpreter(str(path)).get_signature_runner()(**inputs)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_tflite_gives_the_numbers_of_onnx_runtime(
    case: Case, tmp_path: Path, convert: Callable[..., Model]
) -> None:
    path = tmp_path / "model.onnx"
    case.write(path)
    source = describe(path, "onnx")
    result = convert(source, "tflite")
    x = next(spec for spec in result.signature.inputs if spec.name == "x")
    assert isinstance(x.shape[1], str)
    for batch, steps in ((1, case.steps or 4), (3, case.steps or 9)):
        inputs = case.inputs(batch, steps)
        expected, found = _onnx_runtime(path, inputs), _litert(result.path, inputs)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=2e-6, err_msg=name)
