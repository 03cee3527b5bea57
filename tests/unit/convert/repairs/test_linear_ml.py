"""Linear models of ai.onnx.ml against ONNX Runtime's own kernels for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from taxiway.convert.repairs.linear_ml import OPERATORS, REPAIR

COEFFICIENTS = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75, -2.0, 0.1, 0.3]
LINEAR = {"coefficients": COEFFICIENTS, "intercepts": [0.1, -0.2, 0.3]}
LABELS = {"classlabels_ints": [7, 3, 5], "multi_class": 1}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "scaler": ("Scaler", {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 2.0, 1.0]}),
    "regressor": ("LinearRegressor", {**LINEAR, "targets": 3}),
    "one target": ("LinearRegressor", {"coefficients": [1.0, 2.0, 3.0], "intercepts": [0.5]}),
    "classifier": ("LinearClassifier", {**LINEAR, **LABELS}),
    "logistic": ("LinearClassifier", {**LINEAR, **LABELS, "post_transform": "LOGISTIC"}),
    "softmax": ("LinearClassifier", {**LINEAR, **LABELS, "post_transform": "SOFTMAX"}),
    "L1": ("Normalizer", {"norm": "L1"}),
    "L2": ("Normalizer", {"norm": "L2"}),
}


def model_of(op: str, attributes: dict[str, Any], dtype: int = TensorProto.FLOAT) -> Any:
    names = ["label", "p"] if op == "LinearClassifier" else ["y"]
    node = helper.make_node(op, ["x"], names, domain="ai.onnx.ml", **attributes)
    x = helper.make_tensor_value_info("x", dtype, ["n", 3])
    kinds = {"label": TensorProto.INT64}
    outputs = [
        helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), None) for n in names
    ]
    graph = helper.make_graph([node], "g", [x], outputs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run(model: Any, x: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})


@pytest.mark.parametrize(("op", "attributes"), CASES.values(), ids=CASES)
def test_the_same_numbers_without_the_domain(op: str, attributes: dict[str, Any]) -> None:
    x = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    model = model_of(op, attributes)
    repaired = onnx.ModelProto.FromString(model.SerializeToString())
    assert REPAIR.applies(repaired) == REPAIR.apply(repaired) == 1
    assert REPAIR.applies(repaired) == 0
    assert not any(node.domain for node in repaired.graph.node)
    for before, after in zip(run(model, x), run(repaired, x), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Normalizer", {"norm": "MAX"}),
        ("LinearRegressor", {**LINEAR, "targets": 3, "post_transform": "PROBIT"}),
        ("LinearClassifier", {**LINEAR, "classlabels_strings": ["a", "b", "c"]}),
        (
            "LinearClassifier",
            {"coefficients": [1.0, 2.0, 3.0], "intercepts": [0.5], "classlabels_ints": [0, 1]},
        ),
    ],
    ids=["largest", "probit", "text labels", "one row for two classes"],
)
def test_what_it_does_not_know_is_left_alone(op: str, attributes: dict[str, Any]) -> None:
    model = model_of(op, attributes)
    before = model.SerializeToString()
    assert REPAIR.applies(model) == REPAIR.apply(model) == 0
    assert model.SerializeToString() == before


def test_its_operators_are_those_with_a_case() -> None:
    assert {op for op, _ in CASES.values()} == OPERATORS
