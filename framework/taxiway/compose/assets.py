"""Files shipped with the package (`conf`, `recipes`, `schemas`), and recipes found by name or by path."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from taxiway.errors import PluginError, Problem, RecipeError


def asset(kind: str) -> Path:
    """The folder of shipped `conf`, `recipes` or `schemas`."""
    return Path(str(files(f"taxiway.{kind}")))


def shipped_recipes() -> dict[str, Path]:
    """Recipes inside the package, by name such as `mlperf_tiny/kws_int8`."""
    root = asset("recipes")
    return {
        path.relative_to(root).with_suffix("").as_posix(): path
        for path in sorted(root.rglob("*.yaml"))
    }


def find_recipe(name: str) -> Path:
    """A recipe by path, or by the name of a shipped one. Raises RecipeError with the nearest name."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            if path.suffix == ".yml":
                hint = f"rename it: {path.with_suffix('.yaml')}"
                raise RecipeError([Problem(f"'{name}' must end in .yaml", hint=hint)])
            return path.resolve()
        beside = [str(p) for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        near = get_close_matches(name, [*beside, *(p.removeprefix("./") for p in beside)], n=1)
        hint = (
            f"did you mean '{near[0]}'?"
            if near
            else "`taxiway list recipes` shows the shipped ones"
        )
        raise RecipeError([Problem(f"no recipe file '{name}'", hint=hint)])
    shipped = shipped_recipes()
    if name in shipped:
        return shipped[name]
    if path.with_name(path.name + ".yaml").is_file():
        return path.with_name(path.name + ".yaml").resolve()
    tails = {full.rsplit("/", 1)[-1]: full for full in shipped}
    near = get_close_matches(name, [*shipped, *tails], n=1)
    hint = (
        f"did you mean '{tails.get(near[0], near[0])}'?"
        if near
        else "`taxiway list recipes` shows the shipped ones; a recipe of your own is a path that ends in .yaml"
    )
    raise RecipeError([Problem(f"no recipe '{name}'", hint=hint)])


def config_folders(recipe: Path, extra: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """Where config groups are looked up, in order.

    The folders given, `conf/` beside the recipe, the shipped one, and those of plugin packages
    (entry-point group `taxiway.conf`).
    """
    # `taxiway list` needs recipes only, and no plugin contract with msgspec under it.
    from taxiway.plugins.registry import installed

    for folder in extra:
        if not folder.is_dir():
            raise RecipeError([Problem(f"--config-dir {folder}: no such folder")])
    shipped = asset("conf")
    beside = recipe.parent / "conf"
    if beside.is_symlink():
        message = f"{beside} is a link, which may lead to any folder"
        raise RecipeError([Problem(message, hint=f"--config-dir {beside}", refused=True)])
    own = (beside,) if beside.is_dir() and not recipe.is_relative_to(asset("recipes")) else ()
    plugins = []
    for entry in installed().select(group="taxiway.conf"):
        try:
            plugins.append(Path(str(files(entry.value))))
        except Exception as error:
            # It imports a package of somebody else, which may fail in any way.
            origin = entry.dist.name if entry.dist else entry.value
            raise PluginError(f"config groups of '{origin}' cannot be found: {error!r}") from error
    return (*(folder.resolve() for folder in extra), *own, shipped, *plugins)


def config_groups(folders: tuple[Path, ...]) -> dict[str, dict[str, Path]]:
    """Group -> option -> file; the first folder that has an option wins, as in Hydra's search path."""
    groups: dict[str, dict[str, Path]] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/**/*.yaml")):
            group = file.parent.relative_to(folder).as_posix()
            groups.setdefault(group, {}).setdefault(file.stem, file)
    return groups
