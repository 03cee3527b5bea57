"""Every kind of mistake in a recipe: caught before any work, once, at its line, with a hint to act on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import taxiway
from taxiway.errors import Problem, RecipeError

ROOT = Path(__file__).parents[2]
GOOD = """\
defaults:
  - base
  - source: keras
  - data: npz
  - convert: tflite
  - optimize: [quantize_static]
  - evaluate: classification
  - deploy: litert_bundle
  - _self_
name: mine
source:
  path: models/digits.keras
data:
  path: data/digits.npz
  scale: 0.0625
  splits:
    calibration: {inputs: x_train}
    test: {inputs: x_test, labels: y_test}
optimize:
  quantize_static:
    calibration:
      samples: 64
evaluate:
  gates:
    accuracy: {max_drop: 1 pt}
    latency_p95: {max: 2 ms}
    size: {max: 200 KiB}
"""


@dataclass(frozen=True)
class Mistake:
    """`new` replaces `old` in the good recipe; the problem is at the line that holds `line`."""

    name: str
    old: str = ""
    new: str = ""
    line: str = ""
    message: str = ""
    hint: str = ""
    overrides: list[str] = field(default_factory=list)
    exit_code: int = 2
    column: int | None = None


IN_FILE = [
    Mistake(
        "top-level key",
        "evaluate:\n  gates",
        "evalute:\n  gates",
        "evalute:",
        "unknown key 'evalute'",
        "'evaluate'",
    ),
    Mistake(
        "option key",
        "      samples: 64",
        "      sample: 64",
        "sample: 64",
        "unknown key 'sample'",
        "'samples'",
        column=7,
    ),
    Mistake(
        "option of another plugin",
        "  scale: 0.0625",
        "  opset: 18",
        "opset",
        "unknown key 'opset' in data",
    ),
    Mistake(
        "gate name", "    size: {max", "    sise: {max", "sise", "unknown key 'sise'", "'size'"
    ),
    Mistake(
        "gate rule",
        "size: {max: 200 KiB}",
        "size: {maxx: 200 KiB}",
        "maxx",
        "unknown key 'maxx'",
        "'max'",
    ),
    Mistake(
        "plugin in defaults",
        "source: keras",
        "source: kers",
        "kers",
        "no source 'kers'",
        "'keras'",
        column=13,
    ),
    Mistake(
        "group in defaults",
        "- source: keras",
        "- sorce: keras",
        "sorce",
        "no config group 'sorce'",
        "'source'",
    ),
    Mistake(
        "pass in defaults",
        "[quantize_static]",
        "[quantise_static]",
        "quantise",
        "no optimize 'quantise_static'",
        "'quantize_static'",
    ),
    Mistake("config in defaults", "  - base\n", "  - bse\n", "bse", "no config 'bse'"),
    Mistake(
        "no defaults list",
        GOOD.split("name:")[0],
        "",
        "name: mine",
        "needs a defaults list",
        "- base",
    ),
    Mistake(
        "defaults no list",
        GOOD.split("name:")[0],
        "defaults: base\n",
        "defaults: base",
        "must be a list",
    ),
    Mistake("text for a number", "samples: 64", "samples: many", "many", "'many'", column=16),
    Mistake("fraction for a count", "samples: 64", "samples: 64.5", "64.5", "whole number"),
    Mistake("below the minimum", "samples: 64", "samples: 0", "samples: 0", "at least 1"),
    Mistake(
        "list for a mapping",
        "    calibration:\n      samples: 64",
        "    calibration: [64]",
        "[64]",
        "a mapping",
    ),
    Mistake("number for a path", "path: data/digits.npz", "path: 12", "12", "text"),
    Mistake(
        "enum",
        "      samples: 64",
        "      samples: 64\n      method: minmaxx",
        "minmaxx",
        "must be one of",
        "'minmax'",
    ),
    Mistake("unknown unit", "{max: 2 ms}", "{max: 2 msec}", "msec", "a duration with its unit"),
    Mistake(
        "no unit", "{max: 2 ms}", "{max: 2}", "latency_p95", "a duration with its unit", "'2 ms'"
    ),
    Mistake(
        "unit of another kind", "{max: 200 KiB}", "{max: 200 ms}", "size:", "a size with its unit"
    ),
    Mistake("share over 1", "{max_drop: 1 pt}", "{min: 95}", "{min: 95}", "a share such as 0.95"),
    Mistake(
        "bare drop", "{max_drop: 1 pt}", "{max_drop: 1}", "max_drop", "it must be '1 pt'", "'1 pt'"
    ),
    Mistake(
        "gate without threshold",
        "accuracy: {max_drop: 1 pt}",
        "accuracy: {}",
        "accuracy",
        "needs a limit: min, max, max_drop",
    ),
    Mistake(
        "gate without baseline",
        "evaluate:\n  gates",
        "evaluate:\n  baseline: none\n  gates",
        "max_drop",
        "baseline: source",
    ),
    Mistake(
        "missing value",
        "source:\n  path: models/digits.keras\n",
        "",
        "",
        "source.path has no value",
        "source.path=...",
    ),
    Mistake("missing name", "name: mine\n", "", "", "name has no value", "name=..."),
    Mistake("bad name", "name: mine", "name: my model", "my model", "must match"),
    Mistake(
        "missing file",
        "digits.keras",
        "digit.keras",
        "digit.keras",
        "no file or folder",
        "'models/digits.keras'",
    ),
    Mistake(
        "absolute path",
        "models/digits.keras",
        "/etc/hostname",
        "/etc/hostname",
        "outside the recipe's folder",
        "--allow-path",
        exit_code=5,
    ),
    Mistake(
        "path outside",
        "models/digits.keras",
        "../../x.keras",
        "../../x.keras",
        "outside the recipe's folder",
        exit_code=5,
    ),
    Mistake("interpolation to nothing", "scale: 0.0625", "scale: ${scal}", "${scal}", "scal"),
    Mistake(
        "unset variable",
        "path: data/digits.npz",
        "path: ${oc.env:TAXIWAY_NOT_SET}/d.npz",
        "NOT_SET",
        "is not set",
        "export TAXIWAY_NOT_SET=",
    ),
    Mistake(
        "pass before its format",
        "[quantize_static]\n  - evaluate: classification\n  - deploy: litert_bundle",
        "[quantize_static]\n  - evaluate: classification\n  - deploy: onnxruntime_bundle",
        "deploy: onnx",
        "takes onnx",
        "deploy=litert_bundle",
    ),
    Mistake(
        "no conversion",
        "  - convert: tflite\n",
        "",
        "quantize_static:",
        "works on onnx, tflite",
        "convert",
    ),
    Mistake("no data section", "  - data: npz\n", "", "data:", "no plugin is chosen", "- data"),
    Mistake(
        "array that is not there",
        "{inputs: x_train}",
        "{inputs: x_trian}",
        "x_trian",
        "no array 'x_trian'",
        "x_train",
    ),
    Mistake(
        "split that is not there",
        "evaluate:\n  gates",
        "evaluate:\n  split: tset\n  gates",
        "tset",
        "no split 'tset'",
        "test",
    ),
    Mistake(
        "option for another format",
        "samples: 64",
        "samples: 64\n    integers: u8u8",
        "u8u8",
        "integers 'u8u8' works on onnx only",
    ),
    Mistake(
        "dropped pass still set",
        "[quantize_static]",
        "[]",
        "quantize_static:",
        "no plugin is chosen",
        "- optimize: quantize_static",
    ),
    Mistake("no _self_", "  - _self_\n", "", "- base", "no `_self_`", "add `- _self_`"),
    Mistake(
        "a bundle's name from the environment",
        "evaluate:\n  gates",
        "deploy:\n  name: ${oc.env:HOME}\nevaluate:\n  gates",
        "  name:",
        "deploy.name comes from the environment",
        "write the value itself",
    ),
    Mistake(
        "two options of one group",
        "deploy: litert_bundle",
        "deploy: [litert_bundle, onnxruntime_bundle]",
        "deploy: [",
        "deploy takes one option",
    ),
    Mistake(
        "split given twice",
        "{inputs: x_train}",
        "{inputs: x_train, fraction: 0.5}",
        "fraction",
        "exactly one of fraction, rows, inputs",
    ),
    Mistake(
        "pass without options",
        "  quantize_static:\n    calibration:\n      samples: 64",
        "  quantize_static: null",
        "quantize_static: null",
        "it must be a mapping",
    ),
    Mistake(
        "duplicate key",
        "  scale: 0.0625",
        "  scale: 0.0625\n  scale: 1",
        "scale: 1",
        "written twice",
    ),
    Mistake("tab", "  scale: 0.0625", "\tscale: 0.0625", "scale", "YAML syntax", "tabs"),
    Mistake("unclosed bracket", "{inputs: x_train}", "{inputs: x_train", "test:", "YAML syntax"),
    Mistake(
        "bad indent",
        "  path: models/digits.keras",
        "  path: models/digits.keras\n bad: 1",
        "bad: 1",
        "YAML syntax",
    ),
    Mistake("unknown alias", "samples: 64", "samples: *n", "*n", "YAML syntax"),
    Mistake(
        "python tag",
        "samples: 64",
        "samples: !!python/name:os.system",
        "python",
        "refused",
        exit_code=5,
    ),
    Mistake(
        "_target_",
        "  path: models/digits.keras",
        "  path: models/digits.keras\n  _target_: os.system",
        "_target_",
        "runs no code",
        exit_code=5,
    ),
    Mistake(
        "hydra.searchpath",
        "name: mine",
        "name: mine\nhydra:\n  searchpath: [file:///tmp]",
        "searchpath",
        "refused",
        "--config-dir",
        exit_code=5,
    ),
    Mistake(
        "traversal in defaults",
        "source: keras",
        "source: ../keras",
        "../keras",
        "outside the config folders",
        exit_code=5,
    ),
]

COMMAND_LINE = [
    Mistake(
        "override key",
        overrides=["optimize.quantize_static.calibration.sample=3"],
        message="unknown key 'sample'",
        hint="'samples'",
    ),
    Mistake(
        "override section",
        overrides=["optmize.quantize_static.calibration.samples=3"],
        message="unknown key 'optmize'",
        hint="'optimize'",
    ),
    Mistake(
        "override option",
        overrides=["source=kers"],
        message="no source 'kers'",
        hint="'keras'",
        column=8,
    ),
    Mistake(
        "override value",
        overrides=["optimize.quantize_static.calibration.samples=few"],
        message="'few'",
        column=46,
    ),
    Mistake("override syntax", overrides=["a.b"], message="not an override", hint="key=value"),
    Mistake("override grammar", overrides=["data.scale=[1,"], message="not an override"),
    Mistake(
        "sweep without --multirun",
        overrides=["seed=1,2"],
        message="several values",
        hint="--multirun",
    ),
    Mistake(
        "override searchpath",
        overrides=["hydra.searchpath=[/tmp]"],
        message="may not be set",
        exit_code=5,
    ),
    Mistake(
        "override _target_",
        overrides=["+source._target_=os.system"],
        message="may not be set",
        exit_code=5,
    ),
    Mistake(
        "override path",
        overrides=["source.path=nothing.keras"],
        message="no file or folder",
        hint="working folder",
    ),
    Mistake(
        "override of a gate",
        overrides=["evaluate.gates.size.max=3"],
        message="a size with its unit",
        hint="KiB",
    ),
    Mistake(
        "override of another kind",
        overrides=["optimize.quantize_static.calibration=[1]"],
        message="optimize.quantize_static.calibration takes another kind of value",
    ),
    Mistake("deleting nothing", overrides=["~optimize.nothing"], message="optimize.nothing"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("models", "data"):
        shutil.copytree(ROOT / "recipes" / name, tmp_path / name)
    return tmp_path


def problems(folder: Path, text: str, overrides: list[str]) -> RecipeError:
    recipe = folder / "mine.yaml"
    recipe.write_text(text)
    with pytest.raises(RecipeError) as caught:
        taxiway.load(recipe, overrides).plan()
    return caught.value


def check(error: RecipeError, mistake: Mistake) -> Problem:
    assert len(error.problems) == 1, error.render()
    (problem,) = error.problems
    assert mistake.message in problem.message
    assert mistake.hint in (problem.hint or ""), problem.hint
    assert error.exit_code == mistake.exit_code
    if mistake.column:
        assert problem.column == mistake.column, problem.render()
    return problem


def test_the_recipe_without_mistakes_is_fine(folder: Path) -> None:
    (folder / "mine.yaml").write_text(GOOD)
    steps = taxiway.load(folder / "mine.yaml").plan().steps
    assert [step.section for step in steps][-3:] == ["evaluate", "ledger", "deploy"]


@pytest.mark.parametrize("mistake", IN_FILE, ids=lambda m: m.name)
def test_in_the_file(folder: Path, mistake: Mistake) -> None:
    assert mistake.old in GOOD
    text = GOOD.replace(mistake.old, mistake.new, 1)
    problem = check(problems(folder, text, []), mistake)
    assert problem.file == str(folder / "mine.yaml")
    if mistake.line:
        expected = next(n for n, line in enumerate(text.splitlines(), 1) if mistake.line in line)
        assert problem.line == expected, problem.render()


@pytest.mark.parametrize("mistake", COMMAND_LINE, ids=lambda m: m.name)
def test_on_the_command_line(folder: Path, mistake: Mistake) -> None:
    overrides = ["seed=1", *mistake.overrides]
    problem = check(problems(folder, GOOD, overrides), mistake)
    assert (problem.file, problem.line) == ("<command line>", 2)
    assert problem.excerpt == mistake.overrides[0]


def test_in_a_group_file(folder: Path) -> None:
    group = folder / "conf" / "data"
    group.mkdir(parents=True)
    (group / "ours.yaml").write_text("type: npz\npath: data/digits.npz\nscale: large\n")
    text = GOOD.replace("data: npz", "data: ours").replace("  scale: 0.0625\n", "")
    (problem,) = problems(folder, text, []).problems
    assert (problem.file, problem.line) == (str(group / "ours.yaml"), 3)


def test_all_at_once_in_order(folder: Path) -> None:
    text = GOOD.replace("samples: 64", "samples: 0").replace("scale: 0.0625", "scale: big")
    text = text.replace("size: {max: 200 KiB}", "sise: {max: 200 KiB}")
    found = problems(folder, text, ["seed=-1"]).problems
    assert [problem.excerpt for problem in found] == [
        "  scale: big",
        "      samples: 0",
        "    sise: {max: 200 KiB}",
        "seed=-1",
    ]


def test_a_broken_defaults_list_does_not_hide_the_rest(folder: Path) -> None:
    text = GOOD.replace("source: keras", "source: kers").replace("samples: 64", "samples: 0")
    found = problems(folder, text, ["data=nzp"]).problems
    assert len(found) == 3
