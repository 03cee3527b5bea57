"""What a run gave: typed, and as the `report.json` that it leaves in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

Status = Literal["accepted", "not accepted", "no gates"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A way to convert that was not taken: the formats on it, the step it failed at, and why."""

    formats: tuple[str, ...]
    step: str
    reason: str


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """seconds: how long the step took when it ran. peak_memory: bytes of the worker, where known."""

    name: str
    plugin: str
    key: str
    cached: bool
    seconds: float
    peak_memory: int | None = None


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one recipe.

    status: `accepted` (all gates passed), `not accepted` (one failed; nothing was deployed), or
    `no gates` (the recipe has none).
    metrics: subject (`source`, `result`) -> metric -> value in seconds, bytes or fractions.
    way: the formats on the way of the conversion. failed_ways: better ways, and why they failed.
    parity: step -> the proof that it did not change the model. calibration: step -> what the doctor
    found in the samples of the pass. notes: step -> what it reported,
    such as repairs. told: step -> subject -> what it found out.
    ledger: what each conversion and pass bought, `rows` and `warnings`; empty where there was no pass.
    warnings: what the plan warned of.
    trusted: SHA-256 of a source whose own code the recipe let run.
    licence: of the source's model, as the recipe or the model's own files state it.
    artifact: the resulting model. bundle: the deployed folder. folder: where all of it lies.
    """

    name: str
    status: Status
    folder: Path
    seconds: float
    steps: tuple[StepResult, ...]
    way: tuple[str, ...] = ()
    failed_ways: tuple[Attempt, ...] = ()
    parity: dict[str, dict[str, Any]] = {}
    calibration: dict[str, dict[str, Any]] = {}
    notes: dict[str, list[dict[str, Any]]] = {}
    told: dict[str, dict[str, Any]] = {}
    ledger: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    metrics: dict[str, dict[str, Any]] = {}
    samples: int | None = None
    verdicts: tuple[dict[str, Any], ...] = ()
    trusted: str | None = None
    artifact: Path | None = None
    artifact_digest: str | None = None
    bundle: Path | None = None
    overrides: tuple[str, ...] = ()
    licence: str | None = None

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self, enc_hook=str), indent=2) + b"\n"

    @classmethod
    def read(cls, folder: Path) -> RunResult:
        """The result that a run left in its folder."""
        return msgspec.json.decode((folder / "report.json").read_bytes(), type=cls, dec_hook=_path)


def _path(kind: type[Any], value: Any) -> Any:
    if kind is Path or issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(kind)
