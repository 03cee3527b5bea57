"""Students derived from teachers: smaller, sound, and with the teacher's ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from teachers import TEACHERS

from taxiway.errors import StepError
from taxiway.optimize.distill.config import Student
from taxiway.optimize.distill.student.derive import derived
from taxiway.optimize.distill.student.make import made
from taxiway.plugins import Context

pytestmark = pytest.mark.slow
REPEATING = {"residual": 4, "depthwise": 3, "encoder": 2, "plain": 3}
"""Teacher -> how many blocks or layers with weights go at depth 0.5."""


@pytest.fixture(scope="module", params=TEACHERS)
def teacher(request: pytest.FixtureRequest) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    network = TEACHERS[request.param]()
    network.label = request.param
    return network


def ends(network: Any) -> Any:
    from taxiway.model.inspect import keras_signature

    return keras_signature(network)


def rows(network: Any) -> list[Any]:
    random = np.random.default_rng(0)
    made = [random.random((3, *tensor.shape[1:])) for tensor in network.inputs]
    return [
        (array * 9).astype(tensor.dtype) for array, tensor in zip(made, network.inputs, strict=True)
    ]


def said(network: Any) -> list[Any]:
    import tensorflow as tf

    outputs = network(tf.nest.pack_sequence_as(network._inputs_struct, rows(network)))
    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


@pytest.mark.parametrize("width", [0.75, 0.5, 0.3, 0.01])
def test_width(teacher: Any, width: float, tmp_path: Path) -> None:
    student = made(teacher, Student(width=width), Context(workdir=tmp_path))
    assert ends(student) == ends(teacher)
    assert student.count_params() < (0.95 if width > 0.5 else 0.72) * teacher.count_params()
    assert all(np.isfinite(output).all() for output in said(student))


def test_full_width_and_depth_is_the_teacher(teacher: Any) -> None:
    """Every weight is taken over, so the student says what the teacher says."""
    student = derived(teacher, Student(width=1.0))
    assert student.count_params() == teacher.count_params()
    graph = getattr(teacher, "_functional", None) or teacher
    for ours, theirs in zip(said(student), said(graph), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_depth(teacher: Any, tmp_path: Path) -> None:
    if teacher.label not in REPEATING:
        with pytest.raises(StepError, match="repeats no block"):
            derived(teacher, Student(depth=0.5))
        return
    student = made(teacher, Student(depth=0.5), Context(workdir=tmp_path))
    assert ends(student) == ends(teacher)
    assert student.count_params() < teacher.count_params()
    assert all(np.isfinite(output).all() for output in said(student))


def layers_of(network: Any, kind: str) -> list[Any]:
    return [layer for layer in network._flatten_layers() if type(layer).__name__ == kind]


def test_depth_keeps_the_share_of_each_run() -> None:
    plain = TEACHERS["plain"]()
    dense = [len(layers_of(derived(plain, Student(depth=d)), "Dense")) for d in (0.8, 0.5, 0.1)]
    # Four of five equal layers follow the first, which takes another width.
    assert dense == [1 + 4, 1 + 3, 1 + 1]
    residual = TEACHERS["residual"]()
    assert len(layers_of(derived(residual, Student(depth=0.5)), "Add")) < 6
    depthwise = TEACHERS["depthwise"]()
    student = derived(depthwise, Student(depth=0.5))
    assert len(layers_of(student, "DepthwiseConv2D")) == 2


def test_what_is_kept_is_inherited() -> None:
    plain = TEACHERS["plain"]()
    student = derived(plain, Student(depth=0.1))
    for layer in layers_of(student, "Dense"):
        np.testing.assert_array_equal(layer.kernel, plain.get_layer(layer.name).kernel)


def test_sizes() -> None:
    student = derived(TEACHERS["branches"](), Student(width=0.5))
    filters = [layer.filters for layer in layers_of(student, "Conv2D")]
    # 8 + 12 channels go into 4 groups: each part stays a multiple of 4.
    assert filters == [4, 8, 8]
    assert layers_of(student, "Dense")[-1].units == 1
    autoencoder = derived(TEACHERS["autoencoder"](), Student(width=0.5))
    assert layers_of(autoencoder, "Reshape")[0].target_shape == (4, 4, 4)
    shared = derived(TEACHERS["siamese"](), Student(width=0.5))
    assert [layer.units for layer in layers_of(shared, "Dense")] == [10, 5, 1]
    assert layers_of(derived(TEACHERS["plain"](), Student(width=0.5)), "Dropout")[0].rate == 0.2


def test_kept_layers_keep_their_size() -> None:
    plain = TEACHERS["plain"]()
    name = layers_of(plain, "Dense")[1].name
    student = derived(plain, Student(width=0.25, keep=(name,)))
    assert [layer.units for layer in layers_of(student, "Dense")] == [8, 32, 8, 8, 8, 3]
    with pytest.raises(StepError, match="no layer 'dens'") as raised:
        derived(plain, Student(width=0.5, keep=("dens",)))
    assert "dense" in str(raised.value.hint)


def test_channels_that_are_picked_by_number_stay() -> None:
    import keras
    from keras import layers

    entry = keras.Input((6, 4))
    x = layers.Dense(8)(entry)
    y = layers.Dense(10)(x[:, :, 6:])
    z = layers.Permute((2, 1))(y)
    network = keras.Model(entry, layers.Dense(2)(layers.Flatten()(z)))
    with pytest.raises(StepError, match="leaves every layer"):
        derived(network, Student(width=0.5))


def test_code_alone_gives_no_student() -> None:
    import keras

    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(StepError, match="Own computes in Python code"):
        derived(Own(), Student(width=0.5))
