"""What a recipe may say of a student, and what the plan reads for it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taxiway.optimize.distill.distill import Distill
from taxiway.optimize.distill.student.noted import Noted, differences, noted


def config(**options: Any) -> Any:
    return msgspec.convert(options, Distill.Config)


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"file": "a.keras", "width": 0.5}, "not several"),
        ({"architecture": "cnn", "depth": 0.5}, "not several"),
        ({"width": 0.5, "arguments": {"units": [8]}}, "student.arguments"),
        ({"depth": 0.5, "keep": ["fc"]}, "student.keep"),
        ({"width": 0}, "width"),
        ({"width": 1.5}, "width"),
    ],
    ids=["file+width", "architecture+depth", "arguments", "keep", "width 0", "width above 1"],
)
def test_students_that_contradict_themselves(student: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        config(student=student)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "width=0.5"),
        ({"student": {"width": 0.5}, "training": {"epochs": 0}}, "0 epochs"),
        ({"student": {"architecture": "cnnn"}}, "did you mean 'cnn'"),
    ],
    ids=["no student", "no epochs", "unknown architecture"],
)
def test_what_the_plan_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distill().check(config(**options))


@pytest.mark.parametrize(("alpha", "labels"), [(0.0, False), (0.1, True), (1.0, True)])
def test_labels_are_read_only_where_they_count(alpha: float, labels: bool) -> None:
    options = config(
        student={"width": 0.5}, alpha=alpha, training={"validation": "validation", "samples": 7}
    )
    read = Distill().reads(options)
    assert [(one.split, one.samples, one.labels) for one in read] == [
        ("train", 7, labels),
        ("validation", None, labels),
    ]


def archive(path: Path, *layers: dict[str, Any], **ends: Any) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps({"config": {"layers": layers, **ends}}))
    return path


def entry(*shape: int | None) -> dict[str, Any]:
    return {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, *shape]}}


def dense(units: int, name: str = "y") -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"name": name, "units": units}}


SOFTMAX = {"class_name": "Activation", "config": {"name": "p"}}


def test_ends_of_a_file(tmp_path: Path) -> None:
    sequential = archive(tmp_path / "a.keras", entry(28, 28, 1), dense(10), SOFTMAX)
    assert noted(sequential) == Noted(((None, 28, 28, 1),), (10,))
    after = [{"args": [{"config": {"keras_history": ["y", 0, 0]}}]}]
    functional = archive(
        tmp_path / "b.keras",
        entry(4),
        dense(3),
        {**SOFTMAX, "inbound_nodes": after},
        input_layers=[["x", 0, 0]],
        output_layers={"scores": ["p", 0, 0], "raw": ["y", 0, 0]},
    )
    assert noted(functional) == Noted(((None, 4),), (3, 3))


@pytest.mark.parametrize(
    ("student", "found"),
    [
        ((entry(4), dense(3)), []),
        ((entry(5), dense(3)), ["inputs of 5 (the teacher has 4)"]),
        ((entry(4), dense(2)), ["outputs of 2 values (the teacher has 3)"]),
        ((entry(4), {"class_name": "Dot", "config": {"name": "y"}}), []),
    ],
    ids=["same", "inputs", "classes", "unknown end"],
)
def test_differences(student: Any, found: list[str], tmp_path: Path) -> None:
    teacher = archive(tmp_path / "teacher.keras", entry(4), dense(3))
    told = differences(archive(tmp_path / "student.keras", *student), teacher)
    assert len(told) == len(found)
    assert all(part in text for part, text in zip(found, told, strict=True))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b'{"config": 1}'],
    ids=["empty", "hdf5", "half a zip", "json"],
)
def test_other_files_say_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(content)
    assert noted(tmp_path / "m.keras") is None


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1", '{"config": {"layers": [1]}}', '{"config": []}'], ids=len
)
def test_hostile_configs_say_nothing(text: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("config.json", text)
    assert noted(tmp_path / "m.keras") is None


def test_it_ends_what_was_promised_of_weights() -> None:
    assert Distill.renews and Distill.trains and Distill.seeded and Distill.approximates
    assert {"pruned", "clustered", "quantized"} <= set(Distill.undoes)
