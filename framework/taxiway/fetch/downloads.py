"""What was fetched, by its digest.

    STORE/downloads/<sha256>/<name>     a file, or a folder

A download is written to STORE/tmp, compared with its pin and moved by one rename: a crash or a wrong
pin leaves nothing. A hit is compared again, and fetched anew where it is damaged.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from taxiway.errors import SafetyError, StepError
from taxiway.safety.digest import digest_path
from taxiway.safety.output import refuse_link


class WrongDigest(SafetyError):
    """The content is not what its pin says."""

    def __init__(self, shown: str, expected: str, found: str) -> None:
        super().__init__(
            f"{shown} is not what sha256 says: expected {expected}, found {found}",
            "find out why it changed before you write the new digest into the recipe",
        )


def hex_digest(path: Path) -> str:
    """64 hex digits: of a file, the SHA-256 of its bytes; of a folder, that of the JSON of the digests
    of its files by their names (`digest_path`)."""
    return digest_path(path).removeprefix("sha256:")


def lock_name(pin: str) -> str:
    """The lock of a download; its folder in STORE/tmp begins with the same name."""
    return f"download_{pin}"


class Downloads:
    """The fetched files below a store's root folder. Safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def folder(self, pin: str) -> Path:
        return self.root / "downloads" / pin

    def get(self, pin: str) -> Path | None:
        """What was fetched, compared with its pin; None where there is nothing or it is damaged."""
        folder = self.folder(pin)
        with suppress(OSError, ValueError):
            (path,) = folder.iterdir()
            if hex_digest(path) == pin:
                # Its time is that of the last use, for `gc`.
                with suppress(OSError):
                    os.utime(folder)
                return path
        return None

    def fetch(self, shown: str, pin: str | None, work: Callable[[Path], None]) -> tuple[Path, str]:
        """The path and the digest of what `work` writes into the empty folder it gets.

        It is called only where the pin is None or nothing with it is there, and by one process at a
        time. Raises WrongDigest where it wrote something else, StepError where the disk refuses.
        """
        # Without a pin, the place is what two processes have in common.
        name = lock_name(pin or hashlib.sha256(shown.encode()).hexdigest())
        with self._owned(name):
            there = self.get(pin) if pin else None
            if there and pin:
                return there, pin
            with self._scratch(name) as scratch:
                work(scratch)
                (path,) = scratch.iterdir()
                found = hex_digest(path)
                if pin and found != pin:
                    raise WrongDigest(shown, pin, found)
                return self._publish(scratch, found), found

    def _publish(self, scratch: Path, pin: str) -> Path:
        target = self.folder(pin)
        refuse_link(target.parent, "store", "name the folder itself: --store DIR")
        with self._writing():
            target.parent.mkdir(exist_ok=True)
            there = self.get(pin)
            if there:
                return there
            if target.exists():
                shutil.rmtree(target)
            scratch.replace(target)
        (path,) = target.iterdir()
        return path

    @contextmanager
    def _owned(self, name: str) -> Iterator[None]:
        for folder in (self.root, self.root / "locks", self.root / "tmp"):
            refuse_link(folder, "store", "name the folder itself: --store DIR")
            with self._writing():
                folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / "locks" / name, is_singleton=True)
        with self._writing():
            lock.acquire()
        try:
            for left_behind in (self.root / "tmp").glob(f"{name}-*"):
                shutil.rmtree(left_behind, ignore_errors=True)
            yield
        finally:
            lock.release()

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        with self._writing():
            outer = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root / "tmp"))
            (outer / "content").mkdir()
        try:
            yield outer / "content"
        finally:
            shutil.rmtree(outer, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StepError(
                f"the download cannot be stored in {self.root}: {error.strerror}",
                "free some space, or choose another: --store DIR",
            ) from error
