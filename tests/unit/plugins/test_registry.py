from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from taxiway.errors import PluginError
from taxiway.plugins import SECTIONS, Registry, Step, registry
from taxiway.plugins.registry import install_line

GROUP = "taxiway.optimize"
FLOAT16 = "taxiway.optimize.quantize.float16:Float16"


def plugins(*entries: tuple[str, str, str]) -> Registry:
    return Registry([EntryPoint(name, value, group) for group, name, value in entries])


def test_every_builtin_plugin_loads() -> None:
    for section in SECTIONS:
        for name, plugin in registry().section(section).items():
            assert plugin.step.section == section, name
            for format in plugin.step.implementations:
                assert isinstance(plugin.implementation(format), Step)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("flaot16", "did you mean 'float16'?"), ("xyz", "installed: float16")],
)
def test_an_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(PluginError, match=f"no optimize plugin '{name}'") as caught:
        plugins((GROUP, "float16", FLOAT16)).get("optimize", name)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:X", "module 'no_such_module' is not installed"),
        ("taxiway.optimize.quantize.float16:Nothing", "cannot be imported"),
        ("taxiway.errors:TaxiwayError", "is no subclass of taxiway.plugins.Step"),
        ("taxiway.convert.onnx:ToOnnx", "must be a step of section optimize"),
    ],
    ids=["no module", "no attribute", "no step", "another section"],
)
def test_a_broken_plugin(value: str, message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        plugins((GROUP, "mine", value)).get("optimize", "mine").step  # noqa: B018
    assert caught.value.exit_code == 3


def test_one_name_claimed_twice() -> None:
    with pytest.raises(PluginError, match="optimize plugin 'float16' comes from both"):
        plugins((GROUP, "float16", FLOAT16), (GROUP, "float16", "other:Float16"))


def test_the_same_entry_found_twice_is_one_plugin() -> None:
    twice = plugins((GROUP, "float16", FLOAT16), (GROUP, "float16", FLOAT16))
    assert list(twice.section("optimize")) == ["float16"]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch", "torch"),
        ("onnxscript", "torch"),
        ("safetensors.torch", "torch"),
        ("transformers", "huggingface"),
        ("sklearn", "sklearn"),
        ("scikit-learn", "sklearn"),
        ("skl2onnx", "sklearn"),
        ("skops.io", "sklearn"),
    ],
)
def test_a_missing_framework_names_its_extra(module: str, extra: str) -> None:
    assert install_line([module]) == f"pip install 'taxiway[{extra}]'"
