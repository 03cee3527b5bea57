"""The pass as a whole: students that learn, that fit, and that survive a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from teachers import TEACHERS

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.promises import Sparsity
from taxiway.model.runners import open_runner
from taxiway.optimize.distill.distill import Distill
from taxiway.optimize.distill.teacher import Teacher
from taxiway.plugins import Batch, Context, Selection

pytestmark = pytest.mark.slow
CENTERS = np.random.default_rng(5).normal(size=(3, 10)).astype(np.float32) * 1.5


class Rows:
    """A dataset in memory; without labels where they are None."""

    class_names = None
    splits = ("train",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, inputs: dict[str, Any], labels: Any = None) -> None:
        self.inputs, self.labels = inputs, labels

    def count(self, selection: Selection) -> int:
        return min(selection.samples or 10**9, len(next(iter(self.inputs.values()))))

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        assert self.labels is not None or not selection.labels, "labels are read"
        for start in range(0, self.count(selection), size):
            rows = slice(start, min(start + size, self.count(selection)))
            yield Batch(
                {name: array[rows] for name, array in self.inputs.items()},
                self.labels[rows] if selection.labels else None,
            )


def blobs(count: int = 256, seed: int = 1) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    return CENTERS[labels] + random.normal(size=(count, 10)).astype(np.float32), labels


def saved(network: Any, folder: Path, name: str = "teacher.keras") -> Model:
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / name)
    return describe(folder / name, "keras")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """It tells three blobs apart with logits that are right by construction."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((10,), name="x"),
            layers.Dense(64, activation="relu", name="inner"),
            layers.Dense(32, activation="relu", name="middle"),
            layers.Dense(3, activation="softmax", name="class"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(*blobs(2_000, seed=9), epochs=4, verbose=0)
    return saved(network, tmp_path_factory.mktemp("teacher"))


def distilled(model: Model, data: Any, folder: Path, told: Any = None, **options: Any) -> Model:
    checkpoints = options.pop("checkpoints", None)
    training = {"epochs": 12, "learning_rate": 0.01, **options.pop("training", {})}
    config = msgspec.convert({**options, "training": training}, Distill.Config)
    folder.mkdir(parents=True, exist_ok=True)
    tell = told if callable(told) else (told if told is not None else {}).__setitem__
    context = Context(workdir=folder, seed=4, data=data, tell=tell, checkpoints=checkpoints)
    Distill().check(config)
    return Distill().run(model, config, context)


def predictions(model: Model, inputs: dict[str, Any]) -> dict[str, Any]:
    return open_runner(model).predict(inputs)


def accuracy(model: Model) -> float:
    inputs, labels = blobs(500, seed=2)
    (scores,) = predictions(model, {"x": inputs}).values()
    return float((scores.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize(
    "options",
    [
        {"student": {"width": 0.25}},
        {"student": {"width": 0.25}, "alpha": 0.0},
        {"student": {"width": 0.25}, "alpha": 0.0, "loss": "values", "training": {"epochs": 30}},
        {"student": {"width": 0.25}, "features": {"pairs": {"inner": "inner"}}},
        {"student": {"architecture": "mlp", "arguments": {"units": [12]}}},
        {"student": {"width": 0.25}, "training": {"augment": {"noise": 0.1}}},
        {"student": {"width": 0.25}, "cache": "1 KiB"},
    ],
    ids=["labels", "teacher alone", "values", "hints", "architecture", "augmented", "no cache"],
)
def test_students_learn(options: dict[str, Any], teacher: Model, tmp_path: Path) -> None:
    inputs, labels = blobs()
    data = Rows({"x": inputs}, labels if options.get("alpha") != 0 else None)
    told: dict[str, Any] = {}
    student = distilled(teacher, data, tmp_path / "w", told, **options)
    assert student.signature == teacher.signature
    assert told["student"]["parameters"] < 0.4 * told["student"]["teacher_parameters"]
    assert accuracy(student) > accuracy(teacher) - 0.05 > 0.8
    losses = [epoch["loss"] for epoch in told["distillation"]["epochs"] if epoch.get("loss")]
    assert losses[-1] < losses[0] / 2
    assert {path.name for path in (tmp_path / "w").iterdir()} == {student.path.name}


def test_alpha_leaves_the_start_alone(teacher: Model, tmp_path: Path) -> None:
    """A student that is taught and one that is not begin with the same weights."""
    inputs, labels = blobs(64)
    found = []
    for alpha in (0.1, 1.0):
        student = distilled(
            teacher,
            Rows({"x": inputs}, labels),
            tmp_path / str(alpha),
            student={"width": 0.5},
            alpha=alpha,
            training={"epochs": 1, "learning_rate": 1e-12},
        )
        found.append(next(iter(predictions(student, {"x": inputs}).values())))
    np.testing.assert_allclose(*found, atol=1e-6)


def test_promises_end(teacher: Model, tmp_path: Path) -> None:
    promised = msgspec.structs.replace(
        teacher, promises=(Sparsity(weight="inner/kernel", size=640, share=0.5),)
    )
    inputs, labels = blobs(64)
    student = distilled(
        promised,
        Rows({"x": inputs}, labels),
        tmp_path,
        student={"width": 0.5},
        training={"epochs": 1},
    )
    assert student.promises == ()


@pytest.mark.parametrize("name", ["recurrent", "autoencoder", "siamese"])
def test_teachers_of_other_kinds(name: str, tmp_path: Path) -> None:
    """Several inputs and outputs, values instead of classes, no labels."""
    import keras

    keras.utils.set_random_seed(2)
    model = saved(TEACHERS[name](), tmp_path)
    random = np.random.default_rng(0)
    inputs = {
        spec.name: (
            random.integers(0, 50, (256, *spec.shape[1:])).astype(spec.dtype)
            if "int" in spec.dtype
            else random.random((256, *spec.shape[1:]), np.float32)
        )
        for spec in model.signature.inputs
    }
    told: dict[str, Any] = {}
    options: dict[str, Any] = {"student": {"width": 0.5}, "alpha": 0.0}
    options["training"] = {"learning_rate": 0.002, "epochs": 8}
    student = distilled(model, Rows(inputs), tmp_path / "w", told, **options)
    assert student.signature == model.signature
    losses = [epoch["loss"] for epoch in told["distillation"]["epochs"] if epoch.get("loss")]
    assert losses[-1] < losses[0]


def mlp(inputs: int = 10, classes: int = 3, end: str = "softmax", **names: str) -> Any:
    import keras
    from keras import layers

    entry = keras.Input((inputs,), name=names.get("entry", "features"))
    x = layers.Dense(6, activation="relu", name=names.get("hidden", "class"))(entry)
    return keras.Model(entry, layers.Dense(classes, activation=end)(x))


def test_a_file_gets_the_teachers_names(teacher: Model, tmp_path: Path) -> None:
    """Also where a layer inside has the name of the teacher's output; its weights are the start."""
    file = saved(mlp(), tmp_path, "student.keras")
    inputs, labels = blobs(64)
    options = {"epochs": 1, "learning_rate": 1e-9, "validation": 0}
    student = distilled(
        teacher,
        Rows({"x": inputs}, labels),
        tmp_path / "w",
        student={"file": str(file.path)},
        training=options,
    )
    assert student.signature == teacher.signature
    (ours,), (theirs,) = (
        predictions(student, {"x": inputs}).values(),
        predictions(file, {"features": inputs}).values(),
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda: mlp(classes=4), ["outputs", "4]", "3]"]),
        (lambda: mlp(inputs=9), ["inputs", "9]", "10]"]),
        (lambda: mlp(end="linear"), ["no activation", "softmax"]),
    ],
    ids=["classes", "inputs", "activation"],
)
def test_students_that_do_not_fit(
    network: Any, words: list[str], teacher: Model, tmp_path: Path
) -> None:
    file = saved(network(), tmp_path, "student.keras")
    inputs, labels = blobs(64)
    with pytest.raises(StepError) as raised:
        distilled(
            teacher, Rows({"x": inputs}, labels), tmp_path / "w", student={"file": str(file.path)}
        )
    assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": {"pairs": {"inne": "inner"}}}, "the teacher has no layer 'inne'"),
        ({"features": {"pairs": {"inner": "outer"}}}, "the student has no layer 'outer'"),
        ({"student": {"architecture": "cnn"}}, "architecture 'cnn' takes one input of images"),
        (
            {"student": {"architecture": "mlp", "arguments": {"unit": 3}}},
            "architecture 'mlp' failed with arguments",
        ),
        ({"student": {"depth": 0.5}}, "repeats no block"),
    ],
    ids=["teacher layer", "student layer", "cnn on a vector", "arguments", "depth"],
)
def test_what_cannot_be(
    options: dict[str, Any], message: str, teacher: Model, tmp_path: Path
) -> None:
    inputs, labels = blobs(64)
    options = {"student": {"width": 0.5}, **options}
    with pytest.raises(StepError, match=message):
        distilled(teacher, Rows({"x": inputs}, labels), tmp_path, **options)


def test_hints_need_equal_pictures(tmp_path: Path) -> None:
    network = TEACHERS["branches"]()
    names = [layer.name for layer in network.layers]
    first, flat = names[1], next(name for name in names if name.startswith("dense"))
    data = Rows({"image": np.ones((8, 8, 8, 2), np.float32)}, np.zeros(8, np.int64))
    with pytest.raises(StepError, match=r"gives \[None, 8, 8, 8\].*\[None, 10\]"):
        distilled(
            saved(network, tmp_path),
            data,
            tmp_path / "w",
            student={"width": 0.5},
            features={"pairs": {first: flat}},
        )


def test_a_teacher_that_is_not_finite(teacher: Model, tmp_path: Path) -> None:
    inputs, labels = blobs(64)
    inputs[5] = np.inf
    with pytest.raises(StepError, match=r"not finite"):
        distilled(teacher, Rows({"x": inputs}, labels), tmp_path, student={"width": 0.5})


class Killed(BaseException):
    """Nothing in the pass may catch it."""


@pytest.mark.parametrize("augment", [{}, {"noise": 0.2}], ids=["cached", "augmented"])
def test_the_same_bytes_after_a_kill(
    augment: dict[str, float], teacher: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, labels = blobs(128)
    data = Rows({"x": inputs}, labels)
    options: dict[str, Any] = {"student": {"width": 0.25}}
    options["training"] = {"epochs": 4, "augment": augment}
    whole = distilled(teacher, data, tmp_path / "whole", **options)

    def kill(subject: str, facts: Any) -> None:
        if subject == "distillation" and len(facts["epochs"]) == 3:
            raise Killed

    options["checkpoints"] = tmp_path / "checkpoints"
    options["training"] = {"epochs": 4, "augment": augment}
    with pytest.raises(Killed):
        distilled(teacher, data, tmp_path / "first", kill, **dict(options))
    asked: list[int] = []
    answer = Teacher.answer
    monkeypatch.setattr(
        Teacher, "answer", lambda self, rows: (asked.append(len(rows[0])), answer(self, rows))[1]
    )
    again = distilled(teacher, data, tmp_path / "second", **dict(options))
    assert again.path.read_bytes() == whole.path.read_bytes()
    if not augment:
        # One batch, to learn the shapes of an answer: the rest is found.
        assert asked == [64]
