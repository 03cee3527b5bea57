"""`taxiway init`: from a model file to a recipe that can be run and edited."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from taxiway.cli.args import command
from taxiway.errors import UsageError

if TYPE_CHECKING:
    from taxiway.model import Format

EXAMPLES = """  taxiway init model.keras
  taxiway init saved_model/ --data samples.npz --output kws.yaml
  taxiway init model.onnx --data samples.npz
  taxiway init model.tflite --to onnx --force"""


def main(argv: list[str]) -> int:
    parser = command(
        "init", "Write a starter recipe for a model file or SavedModel folder.", EXAMPLES
    )
    parser.add_argument("model", type=Path, help="what it is, is told by its content")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.yaml", help="the recipe (MODEL's name.yaml)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE.npz", help="samples, and labels if there are"
    )
    parser.add_argument("--to", choices=("tflite", "onnx"), help="the format of the result")
    parser.add_argument(
        "--force", action="store_true", help="replace the recipe where there is one"
    )
    arguments = parser.parse_args(argv)
    from taxiway.author.starter import Starter, recipe_name
    from taxiway.author.starter_data import guess
    from taxiway.execute.inspect import inspect_model
    from taxiway.safety.output import refuse_link, write_file

    if arguments.data and not arguments.data.is_file():
        raise UsageError(
            f"no file {arguments.data}", "--data takes an archive that numpy.savez wrote"
        )
    name = recipe_name(arguments.output or arguments.model)
    inputs = [path.resolve() for path in (arguments.model, arguments.data) if path]
    recipe = _place(arguments.output, name, inputs)
    refuse_link(recipe, "recipe")
    if recipe.exists() and not arguments.force:
        raise UsageError(
            f"{recipe} exists", "--force replaces it; --output FILE.yaml writes elsewhere"
        )
    model = inspect_model(arguments.model)
    target = _target(model.format, arguments.to)
    paths = [path.relative_to(recipe.parent.resolve()).as_posix() for path in inputs]
    found = guess(arguments.data, model.signature) if arguments.data else None
    text = Starter(name, model, target, paths[0], paths[1] if found else None, found).text()
    write_file(recipe, text.encode(), "recipe")
    if not arguments.output and recipe.parent.resolve() != Path.cwd():
        print("a recipe reads from its own folder, so it is written beside the model")
    print(f"{recipe}\n\nnext:\n  taxiway validate {recipe}\n  taxiway run {recipe}")
    return 0


def _place(output: Path | None, name: str, inputs: list[Path]) -> Path:
    """The recipe's path, in a folder around all inputs: a recipe reads from no other."""
    if output and (output.suffix != ".yaml" or not output.parent.is_dir()):
        raise UsageError(f"--output {output}: expected a .yaml file in a folder that exists")
    folders = [output.parent] if output else [Path(), inputs[0].parent]
    for folder in folders:
        if all(path.is_relative_to(folder.resolve()) for path in inputs):
            return output or folder / f"{name}.yaml"
    common = Path(os.path.commonpath([path.parent for path in inputs]))
    outside = next(path for path in inputs if not path.is_relative_to(folders[-1].resolve()))
    raise UsageError(
        f"{outside} lies outside the recipe's folder {folders[-1]}; a recipe reads from its own",
        f"--output {common / f'{name}.yaml'}",
    )


def _target(source: Format, wanted: str | None) -> Format:
    """The wanted format, or the usual one. Raises UsageError where no converter leads there."""
    from taxiway.execute.route import paths
    from taxiway.plugins import registry

    target = wanted or ("onnx" if source == "onnx" else "tflite")
    if source != target and not paths(registry(), source, target):
        raise UsageError(f"no converter leads from {source} to {target}", f"--to {source}")
    return target
