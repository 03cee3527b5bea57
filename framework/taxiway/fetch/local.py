"""A remote location as a local path, for as long as it is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taxiway.fetch import licence
from taxiway.fetch.downloads import Downloads
from taxiway.fetch.licence import Licence
from taxiway.fetch.location import BucketFile, HubFile, Remote, Url, WheelFile
from taxiway.fetch.stream import Progress, Transfer


@dataclass(frozen=True)
class Fetched:
    """path: the model's file or folder. licence: what the model's own files state, if they do."""

    path: Path
    licence: Licence | None


def fetch(
    location: Remote, pin: str | None, store: Path, seconds: float, progress: Progress
) -> tuple[Path, str]:
    """Fetch what is pinned (a wheel whole) into the store's downloads, and give its path and digest.

    seconds: the time that it may take. Nothing is asked where the store has it.
    Raises WrongDigest for other content, StepError where it does not come, SafetyError beyond the
    size limit, PluginError where a library is missing.
    """
    transfer = Transfer(location.shown, progress, seconds)

    def work(folder: Path) -> None:
        # Imported by commands that fetch nothing.
        if isinstance(location, WheelFile):
            from taxiway.fetch import wheel

            wheel.fetch(location, folder, transfer)
        elif isinstance(location, Url):
            from taxiway.fetch import web

            web.fetch(location, folder, transfer)
        elif isinstance(location, HubFile):
            from taxiway.fetch import files

            files.fetch_hub(location, folder, transfer)
        elif isinstance(location, BucketFile):
            from taxiway.fetch import files

            files.fetch_bucket(location, folder, transfer)

    return Downloads(store).fetch(location.shown, pin, work)


@contextmanager
def local(
    location: Remote, pin: str, store: Path, scratch: Path, seconds: float, progress: Progress
) -> Iterator[Fetched]:
    """The model as a local path: of a wheel, the part that is named, below `scratch` until the end of
    the block.

    Raises what `fetch` raises, and StepError where the wheel does not hold the path.
    """
    path, _ = fetch(location, pin, store, seconds, progress)
    if not isinstance(location, WheelFile):
        yield Fetched(path, licence.of_folder(path) if path.is_dir() else None)
        return
    from taxiway.fetch import wheel

    with tempfile.TemporaryDirectory(prefix="wheel-", dir=scratch) as folder:
        part = wheel.extract(path, location.path, Path(folder))
        found = licence.of_folder(part) if part.is_dir() else None
        yield Fetched(part, found or licence.of_package(wheel.metadata(path), path.name))
