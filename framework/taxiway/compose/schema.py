"""JSON Schemas from the plugins' Configs.

`resolved` describes a composed recipe. `recipe` describes the file an author edits, before Hydra
composes it: its defaults list chooses the plugins, so every section is partial and any scalar may
be an interpolation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from taxiway.compose.assets import asset, config_groups
from taxiway.compose.explain import INTERPOLATION
from taxiway.compose.recipe_config import RecipeConfig
from taxiway.plugins import SECTIONS, Registry

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAMED = ("optimize",)
"""Sections that hold several steps, by name."""
_INTERPOLATION = {"type": "string", "pattern": INTERPOLATION}


def plugin_schema(config: type[msgspec.Struct], location: str) -> dict[str, Any]:
    """The schema of one Config, with what it refers to nested inside it, at `location` in the document."""
    (schema,), definitions = msgspec.json.schema_components(
        [config], ref_template=f"#/$defs/{location}/$defs/{{name}}"
    )
    name = schema["$ref"].rsplit("/", 1)[-1]
    body = definitions.pop(name)
    return {**body, **({"$defs": definitions} if definitions else {})}


def _definitions(registry: Registry) -> dict[str, dict[str, Any]]:
    definitions = {}
    for section in SECTIONS:
        for name, plugin in registry.section(section).items():
            location = f"{section}.{name}"
            if not plugin.usable:
                definitions[location] = {"type": "object", "title": location}
                continue
            schema = plugin_schema(plugin.step.Config, location)
            schema["properties"] = {
                "type": {"const": name, "description": f"The {section} plugin."},
                **{key: value for key, value in schema["properties"].items() if key != "type"},
            }
            definitions[location] = {**schema, "title": location}
    return definitions


def _common() -> dict[str, Any]:
    schema = plugin_schema(RecipeConfig, "recipe")
    return {
        "properties": schema["properties"],
        "definitions": {"recipe": {"$defs": schema.get("$defs", {})}},
    }


def _choose(section: str, names: Iterable[str], nullable: bool) -> dict[str, Any]:
    """An object whose `type` names a plugin, and whose other keys are that plugin's options."""
    names = list(names)
    rules = [
        {
            "if": {
                "type": "object",
                "properties": {"type": {"const": name}},
                "required": ["type"],
            },
            "then": {"$ref": f"#/$defs/{section}.{name}"},
        }
        for name in names
    ]
    return {
        "type": ["object", "null"] if nullable else "object",
        "required": ["type"],
        "properties": {"type": {"enum": names}},
        "allOf": rules,
    }


def resolved(registry: Registry) -> dict[str, Any]:
    """The schema of a composed recipe."""
    common = _common()
    properties = dict(common["properties"])
    for section in SECTIONS:
        choice = _choose(
            section, registry.section(section), nullable=section not in ("source", *NAMED)
        )
        properties[section] = (
            {"type": "object", "additionalProperties": choice} if section in NAMED else choice
        )
    return {
        "$schema": DRAFT,
        "title": "Taxiway recipe, composed",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "source"],
        "properties": properties,
        "$defs": {**common["definitions"], **_definitions(registry)},
    }


def _partial(schema: Any) -> Any:
    """No required keys, and every scalar may be an interpolation."""
    if isinstance(schema, list):
        return [_partial(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {
        key: _partial(value)
        for key, value in schema.items()
        if key not in ("required", "properties")
    }
    if "properties" in schema:
        out["properties"] = {key: _loose(value) for key, value in schema["properties"].items()}
    return out


def _loose(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema or schema.get("type") == "object" or "const" in schema:
        return dict(_partial(schema))
    keep: dict[str, Any] = {
        key: schema[key] for key in ("description", "default", "title") if key in schema
    }
    rest = {key: value for key, value in schema.items() if key not in keep}
    return {**keep, "anyOf": [_partial(rest), _INTERPOLATION]}


def recipe(registry: Registry, groups: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """The schema of a recipe file; `groups` are the config groups and their options."""
    common = _common()
    properties: dict[str, Any] = {
        "defaults": {
            "type": "array",
            "description": "What this recipe is made of, in order: one option of each config group.",
            "items": {"anyOf": [{"enum": ["base", "_self_"]}, *_default_entries(groups)]},
        },
        **{key: _loose(value) for key, value in common["properties"].items()},
        "hydra": {"type": "object", "description": "Sweeper and launcher of a --multirun."},
    }
    rules = []
    for section in SECTIONS:
        names = registry.section(section)
        properties[section] = {
            "type": ["object", "null"],
            "description": f"Options of the {section} plugin.",
        }
        if section in NAMED:
            properties[section]["properties"] = {
                n: {"$ref": f"#/$defs/{section}.{n}"} for n in names
            }
            continue
        for name in names:
            chosen = {
                "contains": {
                    "type": "object",
                    "properties": {section: {"const": name}},
                    "required": [section],
                }
            }
            rules.append(
                {
                    "if": {"properties": {"defaults": chosen}, "required": ["defaults"]},
                    "then": {"properties": {section: {"$ref": f"#/$defs/{section}.{name}"}}},
                }
            )
    definitions = {key: _partial(value) for key, value in _definitions(registry).items()}
    for definition in definitions.values():
        definition["type"] = ["object", "null"]
    return {
        "$schema": DRAFT,
        "title": "Taxiway recipe",
        "type": "object",
        "additionalProperties": False,
        "required": ["defaults", "name"],
        "properties": properties,
        "allOf": rules,
        "$defs": {**_partial(common["definitions"]), **definitions},
    }


def _default_entries(groups: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    entries = []
    for group, options in groups.items():
        names = {"enum": sorted(options)}
        choice = {
            "anyOf": [
                names,
                {"type": "array", "items": names, "uniqueItems": True},
                {"type": "null"},
            ]
        }
        entries.append(
            {
                "type": "object",
                "additionalProperties": False,
                "required": [group],
                "properties": {group: {"description": f"Options of conf/{group}.", **choice}},
            }
        )
    launcher = {
        "override hydra/launcher": {"type": "string", "description": "Launcher of a --multirun."}
    }
    entries.append({"type": "object", "additionalProperties": False, "properties": launcher})
    return entries


def documents(registry: Registry) -> dict[str, dict[str, Any]]:
    """Both schemas of Taxiway's own plugins and config groups, by file name."""
    groups = {group: list(options) for group, options in config_groups((asset("conf"),)).items()}
    return {
        "recipe.schema.json": recipe(registry, groups),
        "resolved.schema.json": resolved(registry),
    }


def load_resolved(registry: Registry) -> dict[str, Any]:
    """The shipped schema, or one made now where plugins of other packages are installed."""
    if all(p.builtin for section in SECTIONS for p in registry.section(section).values()):
        schema: dict[str, Any] = json.loads(
            (asset("schemas") / "resolved.schema.json").read_bytes()
        )
        return schema
    return resolved(registry)
