"""Errors a user can act on, each with the exit code of the command that meets it.

Anything else that escapes is a defect of Taxiway and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal


def printable(text: str) -> str:
    """Text for a terminal: names out of a model file may hold control characters, which it would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


class TaxiwayError(Exception):
    """Base of every user error: what is wrong, and what to type next (`hint`)."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def render(self) -> str:
        return printable(f"error: {self.message}" + (f"\n  hint: {self.hint}" if self.hint else ""))

    def to_dict(self) -> dict[str, Any]:
        """A form that survives the pipe between worker and parent, and `--json`."""
        return {"error": type(self).__name__, "message": self.message, "hint": self.hint}


class StepError(TaxiwayError):
    """A step of a run failed."""


class WorkerError(StepError):
    """The worker process died, hung, or ran out of memory during a step."""


class ParityError(StepError):
    """What a step made is not the model that went into it."""


class UsageError(TaxiwayError):
    """The command line is wrong."""

    exit_code = 2


class PluginError(TaxiwayError):
    """A plugin is missing, broken, or needs an extra that is not installed."""

    exit_code = 3


class GateError(TaxiwayError):
    """A gate failed: the artifact is kept, and not accepted."""

    exit_code = 4


class SafetyError(TaxiwayError):
    """Refused: the input could run code, read outside its folder, or exhaust the machine."""

    exit_code = 5


class DriftError(TaxiwayError):
    """A locked run differs from its lock file."""

    exit_code = 5


class Interrupted(TaxiwayError):
    """The user stopped the run."""

    exit_code = 130


_EXCERPT = 80
"""Characters of a long line that are shown on each side of the mistake."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe: `file:line:column: message`, the line itself, and a hint.

    refused: not a slip but something a recipe must not do; the command then exits with 5.
    severity: a warning stops nothing.
    """

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    hint: str | None = None
    refused: bool = False
    severity: Literal["error", "warning"] = "error"

    def render(self) -> str:
        where = ":".join(
            str(part) for part in (self.file, self.line, self.column) if part is not None
        )
        text = f"{where}: " if where else ""
        text += f"{self.severity}: {self.message}"
        if self.excerpt is not None and self.column is not None:
            start = max(0, self.column - _EXCERPT)
            shown = self.excerpt[start : start + 2 * _EXCERPT]
            text += f"\n    {shown}\n    {' ' * (self.column - 1 - start)}^"
        return text + (f"\n  hint: {self.hint}" if self.hint else "")


class RecipeError(TaxiwayError):
    """A recipe is wrong: every mistake at once, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        self.exit_code = 5 if any(problem.refused for problem in self.problems) else 2
        super().__init__("; ".join(problem.message for problem in self.problems))

    def render(self) -> str:
        count = len(self.problems)
        lines = [problem.render() for problem in self.problems]
        return "\n".join([*lines, f"{count} problem{'s' if count != 1 else ''}"])

    def to_dict(self) -> dict[str, Any]:
        return {"error": "RecipeError", "problems": [asdict(problem) for problem in self.problems]}


def from_dict(data: dict[str, Any]) -> TaxiwayError:
    """The error that `to_dict` described; an unknown class becomes a StepError."""
    kinds = {kind.__name__: kind for kind in (StepError, WorkerError, PluginError, SafetyError)}
    return kinds.get(data["error"], StepError)(data["message"], data.get("hint"))
