"""`taxiway schema`: the JSON Schemas that editors and validation use."""

from __future__ import annotations

from pathlib import Path

from taxiway.cli.args import command
from taxiway.errors import StepError, UsageError

EXAMPLES = """  taxiway schema --out schemas      with the plugins of every installed package
  taxiway schema                    in a source checkout: the checked-in files
  taxiway schema --check            exit with 1 where a file is stale"""


def main(argv: list[str]) -> int:
    parser = command("schema", "Write recipe.schema.json and resolved.schema.json.", EXAMPLES)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write (default: schemas/ of a source checkout)",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; name the files that are stale"
    )
    arguments = parser.parse_args(argv)
    from taxiway.compose import schema_files
    from taxiway.compose.assets import asset

    folder = arguments.out or asset("schemas")
    if (
        not arguments.out
        and not arguments.check
        and not (folder.parent / "pyproject.toml").is_file()
    ):
        raise UsageError(
            "this is no source checkout, so there is no schemas/ to write",
            "taxiway schema --out DIR",
        )
    texts = schema_files.installed_schemas() if arguments.out else schema_files.own_schemas()
    old = schema_files.stale(folder, texts)
    if arguments.check:
        if old:
            again = f"taxiway schema{f' --out {arguments.out}' if arguments.out else ''}"
            raise StepError(f"stale: {', '.join(map(str, old))}", f"write it again: `{again}`")
        return 0
    schema_files.write(folder, texts)
    for name in texts:
        print(f"{folder / name}: {'written' if folder / name in old else 'unchanged'}")
    return 0
