"""`taxiway show`: the composed recipe, as it may be shared."""

from __future__ import annotations

from taxiway.cli.args import add_json, add_recipe, command

EXAMPLES = """  taxiway show digits_int8
  taxiway show digits_int8 convert=onnx deploy=onnxruntime_bundle
  taxiway show mine.yaml --origin             with the file and line of every value
  taxiway show digits_int8 --json"""


def main(argv: list[str]) -> int:
    parser = command(
        "show",
        "Print the composed recipe; a value from the environment is shown by its name.",
        EXAMPLES,
    )
    add_recipe(parser)
    add_json(parser)
    parser.add_argument(
        "--origin", action="store_true", help="say at each value where it was written"
    )
    arguments = parser.parse_intermixed_args(argv)
    import json

    from taxiway import api
    from taxiway.report.recipe_yaml import leaves, recipe_yaml

    recipe = api.load(
        arguments.recipe,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    ).composed

    def origin(path: tuple[str, ...]) -> str | None:
        place = recipe.locator.exact(path)
        return f"{place.file}:{place.line}" if place else None

    if not arguments.json:
        print(recipe_yaml(recipe.public, origin if arguments.origin else None), end="")
    elif arguments.origin:
        values = {
            ".".join(path): {"value": value, "origin": origin(path)}
            for path, value in leaves(recipe.public)
        }
        print(json.dumps(values, indent=2))
    else:
        print(json.dumps(recipe.public, indent=2))
    return 0
