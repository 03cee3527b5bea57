"""What holds for a plugin of any section: its options, its declarations, and that it imports light."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from jsonschema import Draft202012Validator

from taxiway.compose.schema import plugin_schema
from taxiway.execute.digest import digest_tree
from taxiway.model import FORMATS, Format, Model
from taxiway.plugins import Context, Plugin, Step, registry

HEAVY = (
    *("tensorflow", "keras", "torch", "transformers", "sklearn", "skops", "onnx", "onnxruntime"),
    *("ai_edge_litert", "h5py", "numpy"),
)
"""What the parent process must not import: it asks every plugin for its options."""
_IMPORT = """
import sys
from taxiway.plugins import registry
plugin = registry().get(*sys.argv[1:3])
for format in (None, *plugin.accepts):
    plugin.implementation(format)
print(*{name.partition(".")[0] for name in sys.modules})
"""


class PluginContract:
    """Subclass the contract of your section.

    name: the plugin's entry point. options: what a recipe may say, one mapping a case; `paths`
    adds what is only known when the test runs. refused: what must be refused.
    """

    section: ClassVar[str]
    name: ClassVar[str]
    options: ClassVar[list[dict[str, Any]]] = [{}]
    refused: ClassVar[list[dict[str, Any]]] = []

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "given" in metafunc.fixturenames:
            metafunc.parametrize("given", self.options, ids=map(json.dumps, self.options))

    @pytest.fixture
    def paths(self) -> Mapping[str, Any]:
        """Options to add to every case, such as `{"path": ...}`."""
        return {}

    @pytest.fixture
    def scratch(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Where steps work: beside `tmp_path`, in which the subclass may keep its model."""
        return tmp_path_factory.mktemp("contract")

    @pytest.fixture
    def plugin(self) -> Plugin:
        return registry().get(self.section, self.name)

    @pytest.fixture
    def config(self, plugin: Plugin, given: dict[str, Any], paths: Mapping[str, Any]) -> Any:
        """The case's options as the step gets them."""
        return typed(plugin, {**paths, **given})

    def test_options_are_described(self, plugin: Plugin) -> None:
        """The schema that editors show has a description for every option."""
        assert plugin.step.Config.__struct_config__.frozen
        schema = plugin_schema(plugin.step.Config, "options")
        Draft202012Validator.check_schema(schema)
        bare = sorted(_undescribed(schema, schema))
        assert not bare, f"no description: {', '.join(bare)}"

    def test_options_survive_json(self, plugin: Plugin, config: Any) -> None:
        again = msgspec.json.decode(msgspec.json.encode(config), type=plugin.step.Config)
        assert again == config

    def test_schema_takes_the_options(
        self, plugin: Plugin, given: dict[str, Any], paths: Mapping[str, Any]
    ) -> None:
        schema = plugin_schema(plugin.step.Config, "options")
        validator = Draft202012Validator({**schema, "required": [], "$defs": {"options": schema}})
        errors = [
            error.message for error in validator.iter_errors(_tagged(plugin, {**paths, **given}))
        ]
        assert not errors

    def test_unknown_option_is_refused(self, plugin: Plugin, paths: Mapping[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError, match="no_such_option"):
            typed(plugin, {**paths, **self.options[0], "no_such_option": 1})

    def test_wrong_options_are_refused(
        self, plugin: Plugin, paths: Mapping[str, Any], subtests: pytest.Subtests
    ) -> None:
        for wrong in self.refused:
            with subtests.test(wrong=wrong), pytest.raises(msgspec.ValidationError):
                typed(plugin, {**paths, **self.options[0], **wrong})

    def test_declarations(self, plugin: Plugin) -> None:
        """Known formats, an implementation for each, a revision, and libraries that are installed."""
        unknown = {*plugin.accepts, *_produces(plugin)} - {*FORMATS}
        assert not unknown, f"unknown formats {unknown}; known: {', '.join(FORMATS)}"
        for format in (None, *plugin.accepts):
            step = plugin.implementation(format)
            assert isinstance(step, plugin.step)
            assert isinstance(step.revision, int) and step.revision >= 1
            for library in step.libraries:
                assert distribution(library).version
            assert step.not_in_key <= {*plugin.step.Config.__struct_fields__}

    def test_import_is_light(self) -> None:
        """The plugin and its implementations are imported by commands that must start at once."""
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, self.section, self.name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        heavy = sorted({*done.stdout.split()} & {*HEAVY})
        assert not heavy, (
            f"importing the plugin imports {', '.join(heavy)}; import them inside run()"
        )


def typed(plugin: Plugin, options: Mapping[str, Any]) -> Any:
    """Options as the plugin's Config. Raises msgspec.ValidationError."""
    return msgspec.convert(_tagged(plugin, options), plugin.step.Config)


def _tagged(plugin: Plugin, options: Mapping[str, Any]) -> dict[str, Any]:
    tag = plugin.step.Config.__struct_config__.tag_field
    return {**options, tag: plugin.step.Config.__struct_config__.tag} if tag else dict(options)


def _produces(plugin: Plugin) -> tuple[Format, ...]:
    return (plugin.step.produces,) if plugin.step.produces else ()


def _undescribed(schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "") -> Iterator[str]:
    reference = schema.get("$ref", "").rsplit("/", 1)[-1]
    if reference:
        schema = root.get("$defs", {}).get(reference, {})
    for name, child in schema.get("properties", {}).items():
        path = f"{at}.{name}".strip(".")
        tag = "const" in child or (child.get("enum") and name == "type")
        inner = root.get("$defs", {}).get(child.get("$ref", "").rsplit("/", 1)[-1], {})
        if not (tag or child.get("description") or inner.get("description")):
            yield path
        yield from _undescribed(child, root, path)


def step_of(plugin: Plugin, model: Model | None) -> Step:
    """The implementation for a model's format."""
    step: Step = plugin.implementation(model.format if model else None)
    return step


def context_in(folder: Path, **more: Any) -> Context:
    """A context with an empty work folder."""
    folder.mkdir(parents=True)
    return Context(workdir=folder, **more)


def digests(path: Path) -> dict[str, str]:
    """What is at `path`, to see whether it changed."""
    return digest_tree(path if path.is_dir() else path.parent)
