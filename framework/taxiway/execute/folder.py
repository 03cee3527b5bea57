"""The run folder: `runs/NAME/TIME/` with the artifact, the bundle, the report, the log and the recipe as it ran."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from taxiway.errors import StepError
from taxiway.execute.result import RunResult, Status
from taxiway.execute.store import Entry
from taxiway.safety.onnx_external import external_names
from taxiway.safety.output import refuse_link

if TYPE_CHECKING:
    from taxiway.execute.plan import Plan


WORKER_LOG = "worker.log"


class RunFolder:
    """A new folder for one run; each thing appears in it whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, output: Path, name: str, prefix: str = "") -> RunFolder:
        """`output/name/TIME`, with `prefix` before the time.

        Raises SafetyError where a folder of it is a link, StepError where the disk refuses.
        """
        for folder in (output, output / name):
            refuse_link(folder, "output folder", "name the folder itself: --output DIR")
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        try:
            (output / name).mkdir(parents=True, exist_ok=True)
            for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
                path = output / name / f"{prefix}{stamp}{suffix}"
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as error:
            raise StepError(
                f"{output / name}: {error.strerror}", "choose another folder: --output DIR"
            ) from error
        raise StepError(f"{output / name} has too many runs of {stamp}")

    def keep_artifact(self, model: Path, name: str, status: Status) -> Path:
        """A copy of the resulting model: `NAME.tflite`, `NAME.onnx` or the folder `NAME`.

        One that failed a gate says so in its name: `NAME.not_accepted.tflite`. What an ONNX file
        keeps in other files comes with it, under the names by which it calls them.
        """
        mark = ".not_accepted" if status == "not accepted" else ""
        suffix = model.suffix if model.is_file() else ""
        for weights in external_names(model) if suffix == ".onnx" else ():
            self._keep(model.with_name(weights), self.path / weights)
        return self._keep(model, self.path / f"{name}{mark}{suffix}")

    def keep_bundle(self, entry: Entry | None) -> Path | None:
        return self._keep(entry.files, self.path / "bundle") if entry else None

    def keep_evidence(self, entry: Entry, step: str) -> Path | None:
        """A copy of the files that a proof left, such as a reproducer; None where it left none."""
        if not any(entry.files.iterdir()):
            return None
        (self.path / "parity").mkdir(exist_ok=True)
        return self._keep(entry.files, self.path / "parity" / step)

    def _keep(self, source: Path, target: Path) -> Path:
        with (
            self._writing(),
            tempfile.TemporaryDirectory(prefix=".", dir=self.path) as scratch,
        ):
            copy = Path(scratch) / "copy"
            if source.is_dir():
                shutil.copytree(source, copy)
            else:
                shutil.copyfile(source, copy)
            copy.replace(target)
        return target

    def write(self, name: str, content: bytes) -> Path:
        """Write one file by rename."""
        target = self.path / name
        scratch = self.path / f".{name}"
        with self._writing():
            try:
                scratch.write_bytes(content)
                scratch.replace(target)
            finally:
                scratch.unlink(missing_ok=True)
        return target

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StepError(
                f"the run folder {self.path} cannot be written: {reason}",
                "free some space, or choose another: --output DIR; finished steps are kept",
            ) from error

    def clean_log(self, scrub: Callable[[str], str]) -> None:
        """Take environment values out of what libraries printed."""
        log = self.path / WORKER_LOG
        if log.is_file():
            text = log.read_text(encoding="utf-8", errors="surrogateescape")
            if scrub(text) != text:
                self.write(WORKER_LOG, scrub(text).encode(errors="surrogateescape"))

    def finish(self, result: RunResult, plan: Plan, lock: bytes) -> None:
        """Write the composed recipe, the lock and the report, the report last."""
        self.write(f"{plan.recipe.name}.lock", lock)
        redacted = plan.recipe.redacted
        recipe = json.dumps(redacted(plan.recipe.public), indent=2) + "\n"
        self.write("recipe.json", recipe.encode())
        report = json.dumps(redacted(msgspec.to_builtins(result, enc_hook=str)), indent=2) + "\n"
        self.write("report.json", report.encode())
