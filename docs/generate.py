"""Writes docs/reference/: a page per section, from the plugins' Configs and the files in conf/.

python docs/generate.py            write the pages
python docs/generate.py --check    exit with 1 where a page is stale
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pass_tables

from taxiway.compose.assets import asset
from taxiway.compose.recipe_config import RecipeConfig
from taxiway.compose.schema import plugin_schema
from taxiway.plugins import SECTIONS, Plugin, Registry
from taxiway.plugins.registry import GROUPS

FOLDER = Path(__file__).parent / "reference"
HEAD = "<!-- Written by docs/generate.py from the plugins' options; `make docs` renews it. -->\n"
ABOUT = {
    "source": "Where the trained model comes from. Every source checks the file before any loader "
    "sees it ([security](../security.md)), then copies it into the store.",
    "data": "Samples and labels, for calibration, evaluation and the golden samples of a bundle. A "
    "step reads only the split and the rows it declares, and only those enter its cache key.",
    "convert": "The format of the result. A conversion may take several hops; `taxiway plan` shows "
    "them. After each one the file is loaded and its signature compared with the model it came "
    "from.",
    "optimize": "Passes, by name and in order. The defaults list selects them: "
    "`- optimize: [quantize_static]`. The plan puts the conversion before the first pass that does "
    "not work on the source's format.",
    "calibration": "The look at the samples before every pass that sets ranges by them. It is on in "
    "every recipe with `- base`; `calibration=null` leaves it out. See "
    "[calibration](../passes/calibration.md).",
    "parity": "The proof after every conversion and pass that the model is still the same. It is on "
    "in every recipe with `- base`; `parity=null` leaves it out.",
    "evaluate": "What is measured on the result, and on the source to compare with. The "
    "[gates](../gates.md) decide whether the result is deployed.",
    "ledger": "What each conversion and pass bought, in bytes, time and accuracy, and a warning where "
    "it bought nothing ([passes](../passes.md)). It is on in every recipe with `- base` that has a "
    "pass; `ledger=null` leaves it out.",
    "deploy": "What is made of an accepted result. See [bundles](../bundles.md).",
}
EXAMPLES = {
    "calibration.doctor": "digits_int8 calibration.rows=256",
    "convert.onnx": "digits_onnx_int8 convert.opset=17",
    "convert.saved_model": "digits_int8 convert=saved_model '~optimize.quantize_static' deploy=null",
    "convert.tflite": "digits_int8 convert.batch=1",
    "data.npz": "digits_int8 'data.class_names=[zero,one,two,three,four,five,six,seven,eight,nine]'",
    "deploy.litert_bundle": "digits_int8 deploy.golden_samples=4",
    "deploy.onnxruntime_bundle": "digits_onnx_int8 deploy.name=digits",
    "evaluate.classification": "digits_int8 evaluate.samples=100 'evaluate.gates.size.max=\"64 KiB\"'",
    "ledger.waterfall": "digits_int8 ledger.rounds=20",
    "optimize.cluster_weights": "digits_int8 'optimize=[cluster_weights,quantize_static]' "
    "'+data.splits.train={inputs: x_train, labels: y_train}'",
    "optimize.fuse": "digits_onnx_int8 'optimize=[fuse]' optimize.fuse.level=extended",
    "optimize.layout": "digits_onnx_int8 'optimize=[layout]' optimize.layout.io=nchw",
    "optimize.ort_format": "digits_onnx_int8 'optimize=[quantize_static,ort_format]'",
    "optimize.simplify": "digits_onnx_int8 'optimize=[simplify,quantize_static]'",
    "optimize.distill": "digits_int8 'optimize=[distill,quantize_static]' optimize.distill.student.width=0.5 "
    "'+data.splits.train={inputs: x_train, labels: y_train}'",
    "optimize.float16": "digits_int8 'optimize=[float16]'",
    "optimize.quantize_aware_training": "digits_int8 'optimize=[quantize_aware_training,quantize_static]' "
    "'+data.splits.train={inputs: x_train, labels: y_train}'",
    "optimize.prune_channels": "digits_int8 'optimize=[prune_channels,quantize_static]' "
    "'+data.splits.train={inputs: x_train, labels: y_train}' 'optimize.prune_channels.target={macs: 0.5}'",
    "optimize.prune_magnitude": "digits_int8 'optimize=[prune_magnitude,quantize_static]' "
    "'+data.splits.train={inputs: x_train, labels: y_train}' optimize.prune_magnitude.sparsity=0.7",
    "optimize.quantize_dynamic": "digits_onnx_int8 'optimize=[quantize_dynamic]'",
    "optimize.quantize_int16": "digits_int8 'optimize=[quantize_int16]'",
    "optimize.quantize_weights": "digits_int8 'optimize=[quantize_weights]' optimize.quantize_weights.bits=4",
    "optimize.quantize_static": "digits_onnx_int8 optimize.quantize_static.calibration.method=entropy",
    "optimize.sparsify": "digits_int8 'optimize=[quantize_weights,sparsify]'",
    "parity.outputs": "digits_int8 parity.samples=64",
    "source.huggingface": "mine.yaml source=huggingface source.path=all-MiniLM-L6-v2/ source.pooling=mean",
    "source.keras": "digits_int8 source.path=model.keras",
    "source.onnx": "mine.yaml source=onnx source.path=model.onnx",
    "source.saved_model": "mine.yaml source=saved_model source.path=exported/ source.signature=score",
    "source.sklearn": "mine.yaml source=sklearn source.path=pipeline.skops",
    "source.torch": "mine.yaml source=torch source.path=model.pt2",
    "source.tflite": "mine.yaml source=tflite source.path=model.tflite",
}
"""Plugin -> arguments of `taxiway validate`; those of a source name files that only a user has."""


def pages() -> dict[str, str]:
    """File name -> text."""
    entries = [entry for section in GROUPS for entry in entry_points(group=f"taxiway.{section}")]
    registry = Registry(entry for entry in entries if entry.value.startswith("taxiway."))
    return {
        "recipe.md": _recipe(),
        **{
            f"{section}.md": _page(section, registry.section(section).values())
            for section in SECTIONS
        },
        "converters.md": _converters(registry),
        "passes.md": f"{HEAD}{pass_tables.page(registry)}",
    }


def _recipe() -> str:
    schema = plugin_schema(RecipeConfig, "recipe")
    return "\n".join(
        [
            f"{HEAD}# Common keys of a recipe\n",
            "Keys that belong to no section. `- base` at the top of a defaults list sets them all "
            "but `name`.\n",
            *_options(schema),
            "\n`conf/base.yaml`:\n",
            *_file(asset("conf") / "base.yaml"),
            "",
        ]
    )


def _converters(registry: Registry) -> str:
    lines = [
        f"{HEAD}# Converters\n",
        "The ways from one format to another. A recipe names its target under `convert`; the plan "
        "takes the path with the lowest cost, and the next one where that fails or its result does "
        "not prove equal.\n",
        "| converter | from | to | cost | how |\n|---|---|---|---|---|",
    ]
    for name, plugin in registry.section("converter").items():
        step, about = plugin.step, str(inspect.getdoc(plugin.step)).splitlines()[0]
        source = ", ".join(sorted(plugin.accepts))
        lines.append(f"| `{name}` | {source} | {step.produces} | {step.cost:g} | {about} |")
    return "\n".join([*lines, ""])


def _page(section: str, plugins: Any) -> str:
    lines = [f"{HEAD}# {section}\n", ABOUT[section]]
    for plugin in plugins:
        lines += ["", *_plugin(plugin)]
    return "\n".join([*lines, ""])


def _plugin(plugin: Plugin) -> Iterator[str]:
    yield f"## {plugin.name}\n"
    yield f"{inspect.getdoc(plugin.step)}\n"
    formats = ", ".join(f"`{name}`" for name in sorted(plugin.accepts))
    produced = getattr(plugin.step, "produces", None)
    if formats:
        yield f"Takes {formats}" + (f"; gives `{produced}`.\n" if produced else ".\n")
    elif produced:
        yield f"Gives `{produced}`.\n"
    schema = plugin_schema(plugin.step.Config, plugin.name)
    for field in msgspec.structs.fields(plugin.step.Config):
        if callable(field.default_factory):
            default = msgspec.json.decode(msgspec.json.encode(field.default_factory()))
            schema["properties"][field.encode_name].setdefault("default", _given(default))
    yield from _options(schema)
    yield f"\n`conf/{plugin.section}/{plugin.name}.yaml`:\n"
    yield from _file(asset("conf") / plugin.section / f"{plugin.name}.yaml")
    arguments = EXAMPLES[f"{plugin.section}.{plugin.name}"]
    fence = "console no-run: the model is yours" if plugin.section == "source" else "console"
    yield f"\nExample:\n\n```{fence}\n$ taxiway validate {arguments}\n```"


def _given(value: Any) -> Any:
    """The value without the options that are null."""
    if not isinstance(value, dict):
        return value
    return {key: _given(item) for key, item in value.items() if item is not None}


def _file(path: Path) -> list[str]:
    return ["```yaml", path.read_text(encoding="utf-8").rstrip(), "```"]


def _options(schema: Mapping[str, Any]) -> Iterator[str]:
    rows = list(_rows(schema, schema, ""))
    if not rows:
        yield "It has no options."
        return
    yield "| option | type | default | meaning |\n|---|---|---|---|"
    for cells in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rows(
    schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, str, str]]:
    """(option, type, default, meaning) of every option, those of a nested one by its dotted name."""
    for name, option in schema["properties"].items():
        if name == "type":
            continue
        inner = _inner(option, root)
        default = "required"
        if "default" in option:
            default = f"`{json.dumps(option['default'])}`" if inner is None or inner[0] else ""
        if inner is None:
            yield f"`{prefix}{name}`", _kind(option), default, option.get("description", "")
            continue
        below, options = inner
        about = option.get("description") or options.get("description", "")
        yield f"`{prefix}{name}`", "list" if below == "[]" else "mapping", default, about
        if below:
            yield f"`{prefix}{name}{below}`", "mapping", "", options.get("description", "")
        yield from _rows(options, root, f"{prefix}{name}{below}.")


def _inner(option: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[str, Any] | None:
    """What stands between an option's name and those below it, and their schema; None for a leaf."""
    for candidate in (option, *option.get("anyOf", ())):
        if "$ref" in candidate:
            return "", root["$defs"][candidate["$ref"].rsplit("/", 1)[-1]]
    for key, place in (("additionalProperties", ".NAME"), ("items", "[]")):
        values = option.get(key)
        if isinstance(values, Mapping) and "$ref" in values:
            return place, root["$defs"][values["$ref"].rsplit("/", 1)[-1]]
    return None


def _kind(option: Mapping[str, Any]) -> str:
    """The type in words."""
    quantity = str(option.get("x-quantity", "")).split(", such as")[0].split(" such as")[0]
    if quantity:
        null = {"type": "null"} in option.get("anyOf", ())
        return quantity.removeprefix("a ") + (" or null" if null else "")
    if "anyOf" in option:
        return " or ".join(_kind(alternative) for alternative in option["anyOf"])
    if "enum" in option:
        return " or ".join(f"`{value}`" for value in option["enum"])
    if option.get("format") == "input-path":
        return "path"
    if option.get("format") == "model-location":
        return "path or [location](../locations.md)"
    if "$ref" in option:
        return "mapping"
    if "type" not in option:
        return "anything"
    kind = str(option["type"])
    if "prefixItems" in option:
        return f"list of {len(option['prefixItems'])}: {_kind(option['prefixItems'][0])}"
    if kind == "array" and "prefixItems" in option:
        return "list of " + ", ".join(map(_kind, option["prefixItems"]))
    if kind == "array":
        return f"list of {_kind(option['items'])}"
    if kind == "object" and not isinstance(option.get("additionalProperties"), dict):
        return "mapping"
    if kind == "object":
        return f"mapping of names to {_kind(option.get('additionalProperties', {}))}"
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    limits = [f"{word} {option[key]}" for key, word in bounds.items() if key in option]
    return " ".join([{"string": "text"}.get(kind, kind), *limits])


def main() -> int:
    wanted = pages()
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(name for name in {*wanted, *present} if wanted.get(name) != present.get(name))
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"docs/reference/{name} is stale: make docs", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
