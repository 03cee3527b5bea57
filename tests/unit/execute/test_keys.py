"""The mutation table: each change renews exactly the steps that depend on it, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import taxiway
from taxiway.execute import keys
from taxiway.plugins import registry

SHIPPED = Path(__file__).parents[3] / "recipes"
MEASURED, CALIBRATED, SEED = 100, 64, 0
LITTLE = [
    f"evaluate.samples={MEASURED}",
    f"optimize.quantize_static.calibration.samples={CALIBRATED}",
]


@dataclass
class Project:
    """A recipe with its files in a folder of its own; a mutation changes one thing of it."""

    folder: Path
    name: str
    patch: pytest.MonkeyPatch

    def keys(self, overrides: Iterable[str] = ()) -> dict[str, str]:
        file = self.folder / f"{self.name}.yaml"
        plan = taxiway.load(file, [*LITTLE, *overrides]).plan()
        return {step.name: step.key for step in plan.steps}

    def array(self, name: str, change: Callable[[Any], Any]) -> None:
        """Change one array of the archive; the others keep their bytes."""
        path = self.folder / "data/digits.npz"
        with np.load(path) as archive:
            arrays = dict(archive)
        arrays[name] = change(arrays[name].copy())
        np.savez_compressed(path, **arrays)

    def row(self, name: str, place: int) -> None:
        """Change one row, by its place in the order in which a split takes its rows."""

        def change(array: Any) -> Any:
            row = np.random.RandomState(SEED).permutation(len(array))[place]
            array[row] = (array[row] + 1) % 10
            return array

        self.array(name, change)

    def revise(self, section: str, plugin: str, takes: str | None) -> None:
        implementation = type(registry().get(section, plugin).implementation(takes))
        self.patch.setattr(implementation, "revision", implementation.revision + 1)

    def upgrade(self, library: str) -> None:
        installed = keys._version
        self.patch.setattr(
            keys, "_version", lambda name: "99" if name == library else installed(name)
        )


@cache
def shipped_keys(name: str) -> dict[str, str]:
    plan = taxiway.load(SHIPPED / f"{name}.yaml", LITTLE).plan()
    return {step.name: step.key for step in plan.steps}


@pytest.fixture(params=["digits_int8", "digits_onnx_int8"], ids=["tflite", "onnx"])
def project(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    folder = tmp_path / "project"
    for part in ("models", "data"):
        shutil.copytree(SHIPPED / part, folder / part)
    shutil.copyfile(SHIPPED / f"{request.param}.yaml", folder / f"{request.param}.yaml")
    return Project(folder, request.param, monkeypatch)


def edit(project: Project, old: str, new: str) -> None:
    file = project.folder / f"{project.name}.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"\0")


def move(project: Project) -> None:
    target = project.folder.with_name("elsewhere")
    project.folder = project.folder.rename(target)


def rename(project: Project) -> None:
    (project.folder / "data/digits.npz").rename(project.folder / "data/other.npz")
    edit(project, "data/digits.npz", "data/other.npz")


def override(*texts: str) -> Callable[[Project], list[str]]:
    return lambda project: list(texts)


NONE: set[str] = set()
DEPLOY = {"deploy"}
LEDGER = {"ledger"}
MEASURE = {"evaluate.source", "evaluate", "ledger", "deploy"}
PROVE_PASS = {"parity.optimize.quantize_static"}
EXAMINE = {"calibration.quantize_static"}
"""It looks at more rows of both splits than the pass and the evaluation read."""
QUANTIZE = {"optimize.quantize_static", *PROVE_PASS, "evaluate", "ledger", "deploy"}
CONVERT = {"convert", "parity.convert", *EXAMINE, *QUANTIZE}
HOP = {"onnx": {"convert.saved_model", "parity.convert.saved_model"}, "tflite": NONE}
PROVE = {
    "tflite": {"parity.convert", *PROVE_PASS},
    "onnx": {"parity.convert.saved_model", "parity.convert", *PROVE_PASS},
}
ALL = {"source", *CONVERT, *MEASURE}


def proven(steps: set[str]) -> dict[str, set[str]]:
    """These steps, and the proofs of every format."""
    return {format: steps | proofs for format, proofs in PROVE.items()}


MUTATIONS: dict[str, tuple[Callable[[Project], Any], Any]] = {
    "nothing": (lambda p: None, NONE),
    "label of a test row": (lambda p: p.row("y_test", 0), MEASURE),
    "label of a test row that is not used": (lambda p: p.row("y_test", MEASURED), NONE),
    "label of a calibration row": (lambda p: p.row("y_train", 0), NONE),
    "calibration row": (lambda p: p.row("x_train", CALIBRATED - 1), QUANTIZE | EXAMINE),
    "calibration row that is not used": (lambda p: p.row("x_train", CALIBRATED), EXAMINE),
    "test row": (lambda p: p.row("x_test", MEASURED - 1), MEASURE | EXAMINE),
    "rounds of the ledger": (override("ledger.rounds=7"), LEDGER),
    "test row that the proofs read": (lambda p: p.row("x_test", 0), proven(MEASURE | EXAMINE)),
    "test row that is not used": (lambda p: p.row("x_test", MEASURED), EXAMINE),
    "type of the test rows": (
        lambda p: p.array("x_test", lambda x: x.astype(np.float64)),
        proven(MEASURE | EXAMINE),
    ),
    "archive of other compression": (lambda p: p.array("x_test", lambda x: x), NONE),
    "archive of another name": (rename, NONE),
    "folder of another name": (move, NONE),
    "byte of the source": (lambda p: append(p.folder / "models/digits.keras"), ALL),
    "recipe's comment": (lambda p: append_text(p), NONE),
    "recipe's name": (lambda p: edit(p, f"name: {p.name}", "name: other"), DEPLOY),
    "recipe's description": (override("description=for the tests"), DEPLOY),
    "seed": (override("seed=1"), proven(QUANTIZE | MEASURE | EXAMINE)),
    "time limit": (override("limits.time=1 min"), NONE),
    "memory limit": (override("limits.memory=3 GiB"), NONE),
    "scale": (override("data.scale=0.125"), proven(QUANTIZE | MEASURE | EXAMINE)),
    "offset": (override("data.offset=1"), proven(QUANTIZE | MEASURE | EXAMINE)),
    "class names": (override("data.class_names=[a,b,c,d,e,f,g,h,i,j]"), DEPLOY | EXAMINE),
    "default said explicitly": (override("data.offset=0.0", "evaluate.split=test"), NONE),
    "samples of the calibration": (
        override("optimize.quantize_static.calibration.samples=65"),
        QUANTIZE | EXAMINE,
    ),
    "option of a pass": (override("optimize.quantize_static.granularity=per_tensor"), QUANTIZE),
    "option of the doctor": (override("calibration.settled=0.8"), EXAMINE),
    "samples of the evaluation": (override("evaluate.samples=101"), MEASURE),
    "samples of the proofs": (override("parity.samples=33"), PROVE),
    "split of the proofs said explicitly": (override("parity.split=test"), NONE),
    "option of the evaluation": (override("evaluate.batch_size=32"), MEASURE),
    "threshold of a gate": (override("evaluate.gates.size.max=100 KiB"), DEPLOY),
    "one gate more": (override("+evaluate.gates.peak_memory.max=1 GiB"), DEPLOY),
    "one gate less": (override("~evaluate.gates.size"), DEPLOY),
    "golden samples": (override("deploy.golden_samples=17"), DEPLOY),
    "name of the bundle": (override("deploy.name=other"), DEPLOY),
    "revision of the source": (lambda p: p.revise("source", "keras", None), ALL),
    "revision of the pass on tflite": (
        lambda p: p.revise("optimize", "quantize_static", "tflite"),
        {"tflite": QUANTIZE, "onnx": NONE},
    ),
    "revision of the pass on onnx": (
        lambda p: p.revise("optimize", "quantize_static", "onnx"),
        {"tflite": NONE, "onnx": QUANTIZE},
    ),
    "revision of the conversion from keras": (
        lambda p: p.revise("converter", "keras_to_tflite", "keras"),
        {"tflite": CONVERT, "onnx": NONE},
    ),
    "revision of a hop": (
        lambda p: p.revise("converter", "keras_to_saved_model", "keras"),
        {"tflite": NONE, "onnx": CONVERT | HOP["onnx"]},
    ),
    "revision of the evaluation": (
        lambda p: p.revise("evaluate", "classification", "keras"),
        MEASURE,
    ),
    "revision of the bundle": (
        lambda p: p.revise("deploy", "litert_bundle", "tflite"),
        {"tflite": DEPLOY, "onnx": NONE},
    ),
    "version of tensorflow": (lambda p: p.upgrade("tensorflow"), ALL),
    "version of ai-edge-quantizer": (
        lambda p: p.upgrade("ai-edge-quantizer"),
        {"tflite": QUANTIZE, "onnx": NONE},
    ),
    "version of ai-edge-litert": (
        lambda p: p.upgrade("ai-edge-litert"),
        {"tflite": QUANTIZE | EXAMINE | PROVE["tflite"], "onnx": NONE},
    ),
    "version of tf2onnx": (lambda p: p.upgrade("tf2onnx"), {"tflite": NONE, "onnx": CONVERT}),
    "version of onnxruntime": (
        lambda p: p.upgrade("onnxruntime"),
        {"tflite": NONE, "onnx": QUANTIZE | EXAMINE | {"parity.convert"}},
    ),
    "version of a library that no step uses": (lambda p: p.upgrade("hydra-core"), NONE),
    "machine": (
        lambda p: p.patch.setattr(keys, "machine", lambda: "another"),
        {"tflite": MEASURE, "onnx": MEASURE | QUANTIZE},
    ),
}


def append_text(project: Project) -> None:
    with (project.folder / f"{project.name}.yaml").open("a") as stream:
        stream.write("# a comment\n")


@pytest.mark.parametrize(("mutate", "renewed"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_exactly_the_steps_that_depend_on_it_are_renewed(mutate, renewed, project: Project) -> None:
    format = "onnx" if "onnx" in project.name else "tflite"
    before = shipped_keys(project.name)
    assert set(before) == ALL | HOP[format]
    after = project.keys(mutate(project) or ())
    assert set(after) == set(before)
    expected = renewed[format] if isinstance(renewed, dict) else renewed
    expected = expected | (HOP[format] if expected == ALL else NONE)
    assert {name for name in before if before[name] != after[name]} == expected


def test_without_a_baseline_only_what_compares_is_renewed(project: Project) -> None:
    before = shipped_keys(project.name)
    gates = {"digits_int8": "accuracy", "digits_onnx_int8": "[accuracy,agreement]"}
    dropped = [f"~evaluate.gates.{gate}" for gate in gates[project.name].strip("[]").split(",")]
    after = project.keys(["evaluate.baseline=none", *dropped])
    assert set(before) - set(after) == {"evaluate.source"}
    assert {name for name in after if before[name] != after[name]} == {
        "evaluate",
        "ledger",
        "deploy",
    }


def test_two_steps_of_one_plugin_have_keys_of_their_own(project: Project) -> None:
    keys_of = project.keys()
    assert {"evaluate.source", "evaluate", "parity.convert", *PROVE_PASS} <= set(keys_of)
    assert len(set(keys_of.values())) == len(keys_of)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 -> 2"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c: 2 -> 3"]),
        ({}, {"a": 1}, ["a: nothing -> 1"]),
        ({"a": 1}, {}, ["a: 1 -> nothing"]),
        ({"a": "sha256:" + "0f" * 32}, {"a": "x"}, ["a: 0f0f0f0f0f0f -> x"]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["a: 1 -> 2", "b: 1 -> 2"]),
    ],
    ids=["same", "value", "nested", "added", "removed", "digest", "sorted"],
)
def test_changes_are_said_by_name(before, after, said: list[str]) -> None:
    assert keys.changes(before, after) == said


def test_a_key_is_of_the_parts_and_not_of_their_order() -> None:
    assert keys.key_of({"a": 1, "b": [1, 2]}) == keys.key_of({"b": [1, 2], "a": 1})
    assert keys.key_of({"a": 1, "b": [1, 2]}) != keys.key_of({"a": 1, "b": [2, 1]})
