"""The linear operators of ai.onnx.ml, which scikit-learn's models become, as ONNX's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taxiway.convert.repairs.repair import Repair

DOMAIN = "ai.onnx.ml"
_ACTIVATIONS = {"LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}


class _Rewriting:
    """Collects the nodes and constants that take the place of one node."""

    def __init__(self, node: Any) -> None:
        from onnx import helper

        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.node = node
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def text(self, name: str, default: str) -> str:
        return bytes(self.attributes.get(name, default.encode())).decode()

    def floats(self, name: str) -> Any:
        import numpy as np

        return np.asarray(self.attributes.get(name, []), np.float32)

    def constant(self, array: Any) -> str:
        from onnx import numpy_helper

        name = f"{self.node.output[0]}__constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{self.node.output[0]}__part_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def real_input(self) -> str:
        """These operators take integers, too, and compute with reals."""
        from onnx import TensorProto

        return self.add("Cast", self.node.input[0], to=TensorProto.FLOAT)


def _scaler(part: _Rewriting) -> bool:
    """(x - offset) * scale."""
    x = part.add("Sub", part.real_input(), part.constant(part.floats("offset")))
    part.add("Mul", x, part.constant(part.floats("scale")), output=part.node.output[0])
    return True


def _scores(part: _Rewriting, rows: int, output: str | None) -> str:
    coefficients = part.floats("coefficients").reshape(rows, -1).T.copy()
    intercepts = part.floats("intercepts")
    product = "MatMul", part.real_input(), part.constant(coefficients)
    if not intercepts.size:
        return part.add(*product, output=output)
    return part.add("Add", part.add(*product), part.constant(intercepts), output=output)


def _regressor(part: _Rewriting) -> bool:
    if part.text("post_transform", "NONE") != "NONE":
        return False
    _scores(part, int(part.attributes.get("targets", 1)), part.node.output[0])
    return True


def _classifier(part: _Rewriting) -> bool:
    """The label of the largest score; with one row for two classes, scores are not rewritten."""
    import numpy as np

    labels = np.asarray(part.attributes.get("classlabels_ints", []), np.int64)
    post = part.text("post_transform", "NONE")
    rows = part.floats("intercepts").size
    if not labels.size or rows != labels.size or post not in ("NONE", *_ACTIVATIONS):
        return False
    label, probabilities = part.node.output
    scores = _scores(part, rows, None if post in _ACTIVATIONS else probabilities)
    if post == "SOFTMAX":
        part.add("Softmax", scores, output=probabilities, axis=1)
    elif post == "LOGISTIC":
        part.add("Sigmoid", scores, output=probabilities)
    best = part.add("ArgMax", scores, axis=1, keepdims=0)
    part.add("Gather", part.constant(labels), best, output=label)
    return True


def _normalizer(part: _Rewriting) -> bool:
    """Each row by its L1 or L2 norm."""
    norm = {"L1": 1, "L2": 2}.get(part.text("norm", "MAX"))
    if norm is None:
        return False
    x = part.real_input()
    part.add("LpNormalization", x, output=part.node.output[0], axis=-1, p=norm)
    return True


_REWRITES: dict[str, Callable[[_Rewriting], bool]] = {
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
}
OPERATORS = frozenset(_REWRITES)


def _rewritten(node: Any) -> _Rewriting | None:
    if node.domain != DOMAIN or node.op_type not in _REWRITES:
        return None
    part = _Rewriting(node)
    return part if _REWRITES[node.op_type](part) else None


def applies(model: Any) -> int:
    return sum(_rewritten(node) is not None for node in model.graph.node)


def apply(model: Any) -> int:
    graph, count = model.graph, 0
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        part = _rewritten(node)
        if part is None:
            graph.node.append(node)
            continue
        count += 1
        graph.node.extend(part.nodes)
        graph.initializer.extend(part.constants)
    return count


REPAIR = Repair(
    name="linear_ml",
    stage="before onnx2tf",
    about="onnx2tf has no operator of ai.onnx.ml; Scaler, Normalizer, LinearRegressor and "
    "LinearClassifier, which scikit-learn's linear models become, are sums and products of ONNX's own "
    "operators.",
    source="https://onnx.ai/onnx/operators/ (ai.onnx.ml)",
    applies=applies,
    apply=apply,
)
