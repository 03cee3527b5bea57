"""`pkg://`: a file or folder of an installed distribution. Nothing of it is imported."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path, PurePosixPath

from taxiway.errors import StepError
from taxiway.fetch.location import PackageFile


def package_path(location: PackageFile) -> Path:
    """Where it lies. Raises StepError, with the nearest names, where it does not."""
    dist = _distribution(location.distribution)
    files = [PurePosixPath(str(file)) for file in dist.files or ()]
    listed = {str(file) for file in files if ".." not in file.parts and not file.is_absolute()}
    if location.path not in known(listed):
        raise StepError(
            f"{dist.name} {dist.version} has no '{location.path}'",
            nearest(location.path, listed),
        )
    path = Path(str(dist.locate_file(location.path)))
    if not path.exists():
        raise StepError(
            f"{dist.name} {dist.version} lists '{location.path}', but it is not there",
            f"pip install --force-reinstall --no-deps {dist.name}",
        )
    return path


def _distribution(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        names = sorted({dist.name for dist in distributions()})
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"pip install {name}"
        raise StepError(f"the distribution '{name}' is not installed", hint) from None


def known(files: Iterable[str]) -> set[str]:
    """The files and the folders that hold them."""
    found: set[str] = set()
    for file in files:
        path = PurePosixPath(file)
        found |= {file, *map(str, path.parents)}
    return found - {"."}


def nearest(path: str, files: Iterable[str]) -> str:
    """A hint: the names that come near a path that is not there."""
    names = sorted(known(files))
    same = [name for name in names if PurePosixPath(name).name == PurePosixPath(path).name]
    moved = get_close_matches(path, same, n=2, cutoff=0)
    near = list(dict.fromkeys([*get_close_matches(path, names, n=1), *moved]))
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    top = sorted({name.split("/")[0] for name in names})
    return f"it has: {', '.join(top[:8]) or 'no files'}"
