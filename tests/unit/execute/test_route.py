"""Where the conversion goes among the passes, and what is said where it fits nowhere."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from taxiway.execute.route import NoRoute, paths, routes
from taxiway.plugins import Config, Converter, Pass, Plugin, Registry


def a_pass(name: str, *accepts: str, trains: bool = False) -> Plugin:
    fields = {"Config": Config, "accepts": frozenset(accepts), "trains": trains}
    step = type(name, (Pass,), fields)
    return fake("optimize", name, step)


def a_converter(name: str, produces: str, *accepts: str) -> Plugin:
    fields = {"Config": Config, "accepts": frozenset(accepts), "produces": produces}
    return fake("converter", name, type(name, (Converter,), fields))


def fake(section: str, name: str, step: type) -> Plugin:
    plugin = Plugin(section, name, EntryPoint(name, f"fake:{name}", f"taxiway.{section}"))
    plugin.__dict__["step"] = step
    return plugin


class Fakes(Registry):
    """A registry of these plugins alone."""

    def __init__(self, *plugins: Plugin) -> None:
        self._plugins = {(plugin.section, plugin.name): plugin for plugin in plugins}


REGISTRY = Fakes(
    a_converter("saved_model", "saved_model", "keras"),
    a_converter("onnx", "onnx", "saved_model"),
    a_converter("tflite", "tflite", "keras", "saved_model"),
)
PASSES = {
    plugin.name: plugin
    for plugin in (
        a_pass("prune", "keras"),
        a_pass("cluster", "keras"),
        a_pass("quantize", "tflite", "onnx"),
        a_pass("pack", "tflite"),
        a_pass("fold", "keras", "tflite"),
        a_pass("alien", "coreml"),
        a_pass("tune", "keras", "onnx", trains=True),
    )
}


@pytest.mark.parametrize(
    ("start", "target", "names", "legs"),
    [
        ("keras", None, "", ""),
        ("keras", None, "prune", "prune:keras"),
        ("keras", "keras", "prune cluster", "prune:keras cluster:keras"),
        ("keras", "tflite", "", "convert:keras"),
        ("keras", "onnx", "", "-saved_model:keras convert:saved_model"),
        ("saved_model", "onnx", "quantize", "convert:saved_model quantize:onnx"),
        ("keras", "tflite", "quantize", "convert:keras quantize:tflite"),
        ("keras", "tflite", "prune quantize", "prune:keras convert:keras quantize:tflite"),
        ("keras", "tflite", "fold", "convert:keras fold:tflite"),
        ("keras", "tflite", "fold prune", "fold:keras prune:keras convert:keras"),
        ("keras", "tflite", "prune fold pack", "prune:keras convert:keras fold:tflite pack:tflite"),
        ("keras", "onnx", "tune", "tune:keras -saved_model:keras convert:saved_model"),
        (
            "keras",
            "onnx",
            "tune quantize",
            "tune:keras -saved_model:keras convert:saved_model quantize:onnx",
        ),
        ("saved_model", "onnx", "tune", "convert:saved_model tune:onnx"),
        (
            "keras",
            "onnx",
            "quantize tune",
            "-saved_model:keras convert:saved_model quantize:onnx tune:onnx",
        ),
        ("keras", "tflite", "pack quantize", "convert:keras pack:tflite quantize:tflite"),
        (
            "keras",
            "onnx",
            "prune quantize",
            "prune:keras -saved_model:keras convert:saved_model quantize:onnx",
        ),
    ],
)
def test_the_conversion_goes_to_the_first_place_that_fits(start, target, names, legs) -> None:
    """`name:format` is a leg and what it takes; `-name` a hop that the recipe did not name."""
    (found, *_) = routes(REGISTRY, start, target, {name: PASSES[name] for name in names.split()})
    assert [f"{leg.name or '-' + leg.plugin.name}:{leg.format}" for leg in found] == legs.split()


@pytest.mark.parametrize(
    ("start", "target", "names", "at", "message", "hint"),
    [
        (
            "keras",
            None,
            "pack",
            "pack",
            "pass 'pack' works on tflite, but the model is keras there",
            "drop the pass: '~optimize.pack'",
        ),
        (
            "keras",
            "tflite",
            "pack prune",
            "prune",
            "pass 'prune' works on keras, but 'pack' before it works on tflite",
            "put 'prune' before 'pack' in the defaults list",
        ),
        (
            "keras",
            "tflite",
            "prune alien",
            "alien",
            "pass 'alien' works on coreml; the recipe goes from keras to tflite",
            "drop the pass: '~optimize.alien'",
        ),
        (
            "keras",
            "onnx",
            "pack",
            "pack",
            "pass 'pack' works on tflite; the recipe goes from keras to onnx",
            "or convert to another format",
        ),
        (
            "tflite",
            "onnx",
            "",
            None,
            "no converter leads from tflite to onnx",
            "keras -> tflite, saved_model -> tflite",
        ),
    ],
    ids=["no conversion", "order", "neither side", "other target", "no converter"],
)
def test_what_fits_nowhere_is_named(start, target, names, at, message, hint) -> None:
    with pytest.raises(NoRoute) as caught:
        routes(REGISTRY, start, target, {name: PASSES[name] for name in names.split()})
    assert caught.value.name == at
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_the_cheapest_chain_comes_first_and_the_others_follow() -> None:
    direct = a_converter("direct", "onnx", "keras")
    back = a_converter("back", "onnx", "tflite")
    back.step.cost = 3.0
    chains = paths(Fakes(*REGISTRY.section("converter").values(), direct, back), "keras", "onnx")
    assert [[plugin.name for plugin in chain] for chain in chains] == [
        ["direct"],
        ["saved_model", "onnx"],
        ["tflite", "back"],
        ["saved_model", "tflite", "back"],
    ]


def test_a_format_that_is_there_already_is_written_anew_where_a_converter_does_that() -> None:
    again = a_converter("again", "onnx", "onnx")
    assert paths(Fakes(again), "onnx", "onnx") == [[again]]
    assert paths(Fakes(), "onnx", "onnx") == []


def test_converters_in_a_circle_end() -> None:
    circle = Fakes(a_converter("b", "b", "a"), a_converter("a", "a", "b"))
    assert paths(circle, "a", "c") == []
