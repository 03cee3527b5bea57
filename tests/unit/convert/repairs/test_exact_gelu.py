"""Orders of the exact GELU's factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from taxiway.convert.repairs.exact_gelu import REPAIR

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[n] x) => (float[n] y)'
CONSTANTS = "<float root = {1.4142135}, float inverse = {0.70710678}, float one = {1.0}, float half = {0.5}>"
ERF = "a = Div(x, root) e = Erf(a) "
FORMS = {
    "halved at the end": f"{ERF} s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
    "halved first": f"{ERF} s = Add(one, e) m = Mul(half, s) y = Mul(m, x)",
    "a product": "a = Mul(inverse, x) e = Erf(a) s = Add(e, one) m = Mul(s, x) y = Mul(half, m)",
}
OTHERS = {
    "as it should be": f"{ERF} s = Add(e, one) h = Mul(x, half) y = Mul(h, s)",
    "another sum": f"{ERF} s = Add(e, half) m = Mul(x, s) y = Mul(m, half)",
    "another argument": "e = Erf(x) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
    "used elsewhere": f"{ERF} s = Add(e, one) m = Mul(x, s) h = Mul(m, half) y = Add(h, m)",
    "no half": f"{ERF} s = Add(e, one) m = Mul(x, s) y = Mul(m, one)",
}


def parsed(body: str) -> Any:
    return onnx.parser.parse_model(f"{HEAD} {CONSTANTS} {{ {body} }}")


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_the_order_changes_and_the_values_do_not(body: str) -> None:
    model, x = parsed(body), np.linspace(-4, 4, 101, dtype=np.float32)
    before = ReferenceEvaluator(model).run(None, {"x": x})[0]
    assert REPAIR.applies(model) == REPAIR.apply(model) == 1
    onnx.checker.check_model(model)
    last = model.graph.node[-1]
    assert last.op_type == "Mul" and last.output[0] == "y"
    assert {node.op_type for node in model.graph.node if node.output[0] in last.input} == {
        "Mul",
        "Add",
    }
    after = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(after, before, rtol=2e-7, atol=0)
    assert REPAIR.applies(model) == 0


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_what_is_none_stays(body: str) -> None:
    model = parsed(body)
    before = model.SerializeToString()
    assert REPAIR.applies(model) == REPAIR.apply(model) == 0
    assert model.SerializeToString() == before
