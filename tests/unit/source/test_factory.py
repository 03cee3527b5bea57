"""What may build a model: installed code that says it gives one, and nothing else."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taxiway.errors import StepError
from taxiway.execute.keys import parts_of
from taxiway.plugins import registry
from taxiway.source import factory
from taxiway.source.factory import build, distribution_of, origin_of


def test_origin(installed: Path) -> None:
    origin = origin_of("runway_models.plain:make")
    assert origin.distribution == "runway-models"
    assert origin.file == installed / "runway_models/plain.py"
    assert "runway_models" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "no_such_package:Net",
        "runway_models.no_such:Net",
        "runway_models.unrecorded:make",
        "taxiway.api:run",
    ],
)
def test_not_installed(installed: Path, name: str) -> None:
    with pytest.raises(ValueError, match="belongs to no installed distribution"):
        origin_of(name)
    with pytest.raises(StepError, match="belongs to no installed distribution"):
        build(name, {}, OrderedDict, "collections.OrderedDict")
    assert distribution_of(name) == ()


def test_module_of_the_working_folder(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_recipe.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="belongs to no installed distribution"):
        origin_of("beside_recipe:Net")


def test_a_shadow_of_the_installed_module_is_not_used(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = tmp_path / "shadow/runway_models"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("")
    (shadow / "plain.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(str(shadow.parent))
    factory._locate.cache_clear()
    with pytest.raises(ValueError, match="belongs to no installed distribution"):
        origin_of("runway_models.plain:make")


@pytest.mark.parametrize("name", ["make", "Own"])
def test_build(installed: Path, name: str) -> None:
    made = build(f"runway_models.plain:{name}", {}, OrderedDict, "collections.OrderedDict")
    assert type(made).__name__ == "Own"


def test_arguments(installed: Path) -> None:
    made = build("runway_models.plain:make", {"size": 3}, OrderedDict, "OrderedDict")
    assert list(made) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("bare", {}, "no function annotated to return one"),
        ("wrong", {}, "no function annotated to return one"),
        ("counted", {}, "is no subclass"),
        ("value", {}, "is no subclass"),
        ("absent", {}, "is no subclass"),
        ("lying", {}, "gave a str, expected a OrderedDict"),
        ("make", {"sise": 3}, "unexpected keyword argument 'sise'"),
        ("make", {"size": "x"}, "TypeError"),
    ],
)
def test_no_model(installed: Path, name: str, arguments: Any, said: str) -> None:
    with pytest.raises(StepError, match=said):
        build(f"runway_models.plain:{name}", arguments, OrderedDict, "OrderedDict")


@pytest.mark.parametrize(
    "name", ["os.system", "a:b.c", "a:b()", ":b", "a:", "../a:b", "a b:c", "a:b:c"]
)
@pytest.mark.parametrize("source", ["torch", "keras"])
def test_names(source: str, name: str) -> None:
    config = registry().get("source", source).step.Config
    given = {"type": source, "path": "w", "factory": name}
    given |= {"inputs": [{"name": "x", "shape": [1]}]} if source == "torch" else {}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, config)


@pytest.mark.parametrize("source", ["torch", "keras"])
def test_the_distribution_is_part_of_the_key(installed: Path, source: str, tmp_path: Path) -> None:
    plugin = registry().get("source", source)
    given: dict[str, Any] = {"type": source, "path": str(tmp_path)}
    given["factory"] = "runway_models.plain:make"
    given |= {"inputs": [{"name": "x", "shape": ["batch"]}]} if source == "torch" else {}
    options = msgspec.convert(given, plugin.step.Config)
    step = plugin.implementation(None)
    step.check(options)
    parts = parts_of(plugin, step, None, options, (), {}, 0)
    assert parts["libraries"]["runway-models"] == "1.2"
    assert "runway_models" not in sys.modules
    unknown = msgspec.structs.replace(options, factory="beside_recipe:make")
    with pytest.raises(ValueError, match="belongs to no installed distribution"):
        step.check(unknown)
