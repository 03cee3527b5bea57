"""Names of dimensions: what each means, and the signature that follows."""

from __future__ import annotations

from typing import Any

import pytest

from taxiway.convert.dims import chosen_axes, resized, with_dims
from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec

Shape = tuple[int | str, ...]


def signature(outputs: tuple[Shape, ...] = (), **inputs: Shape) -> Signature:
    return Signature(
        inputs=tuple(TensorSpec(name=n, dtype="float32", shape=s) for n, s in inputs.items()),
        outputs=tuple(
            TensorSpec(name=f"y{i}", dtype="float32", shape=s) for i, s in enumerate(outputs)
        ),
    )


CASES: list[tuple[dict[str, Shape], dict[str, Any], dict[tuple[str, int], Any]]] = [
    ({"x": ("batch", "seq")}, {"batch": 1}, {("x", 0): 1}),
    ({"x": ("batch", "seq")}, {"seq": 8, "batch": 2}, {("x", 0): 2, ("x", 1): 8}),
    ({"a": ("batch", "seq"), "b": (3, "seq")}, {"seq": 8}, {("a", 1): 8, ("b", 1): 8}),
    ({"x": ("N", 4), "state": (2, "N")}, {"batch": 1}, {("x", 0): 1}),
    ({"x": ("N", 4), "state": (2, "N")}, {"N": 1}, {("x", 0): 1, ("state", 1): 1}),
    ({"x": (1, 4)}, {"batch": "dynamic"}, {("x", 0): "batch"}),
    ({"x": (1, 4)}, {"batch": 1}, {}),
    ({"x": (1, 4)}, {"batch": 3}, {("x", 0): 3}),
    ({"x": (1, 4), "y": (1,)}, {"batch": "dynamic"}, {("x", 0): "batch", ("y", 0): "batch"}),
    ({"x": ("batch", 4)}, {"batch": "dynamic"}, {}),
    ({"x": (1, 4)}, {"x[1]": "dynamic"}, {("x", 1): "dim_1"}),
    ({"x": (1, "t")}, {"x[1]": 7}, {("x", 1): 7}),
    ({"x": ()}, {}, {}),
]


@pytest.mark.parametrize(
    ("inputs", "dims", "changes"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES]
)
def test_chosen_axes(
    inputs: dict[str, Shape], dims: dict[str, Any], changes: dict[tuple[str, int], Any]
) -> None:
    assert chosen_axes(signature(**inputs), dims) == changes


@pytest.mark.parametrize(
    ("inputs", "name"),
    [({"x": ("batch", 4)}, "seq"), ({"x": ("batch", 4)}, "x[2]"), ({"x": ()}, "batch")],
    ids=str,
)
def test_an_unknown_name_is_an_error_with_those_there_are(
    inputs: dict[str, Shape], name: str
) -> None:
    with pytest.raises(StepError, match=r"no input has a dimension") as caught:
        chosen_axes(signature(**inputs), {name: 1})
    assert str(inputs["x"][-1] if inputs["x"] else "none") in caught.value.message


def test_outputs_follow_the_names_they_share() -> None:
    before = signature((("batch", "seq"), ("other",)), x=("batch", "seq", 3))
    after = with_dims(before, {"batch": 1, "seq": "dynamic"})
    assert [spec.shape for spec in after.inputs] == [(1, "seq", 3)]
    assert [spec.shape for spec in after.outputs] == [(1, "seq"), ("other",)]


def test_outputs_keep_a_name_that_only_some_inputs_lose() -> None:
    before = signature((("n",),), a=("n",), b=("n",))
    assert with_dims(before, {"a[0]": 1}).outputs[0].shape == ("n",)


def test_resized_are_the_axes_that_were_fixed() -> None:
    before = signature(x=(1, "seq"))
    assert resized(before, {"batch": "dynamic", "seq": 4}) == {("x", 0): "batch"}
