"""How a sentence-transformers folder makes one vector of a sentence: its modules.json, read as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from taxiway.errors import StepError

Pooling = Literal["mean", "cls", "max", "none"]
_KNOWN: tuple[Pooling, ...] = ("mean", "cls", "max")
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"} | {
    "pooling_mode_max_tokens": "max"
}


@dataclass(frozen=True)
class Embedding:
    """pooling: over the tokens, `none` leaves their states; normalize: to length 1."""

    pooling: Pooling = "none"
    normalize: bool = False


def embedding_of(folder: Path) -> Embedding:
    """What modules.json says; no pooling where there is none.

    Raises StepError for a module that is more than Transformer, Pooling or Normalize.
    """
    modules = _json(folder / "modules.json")
    if modules is None:
        return Embedding()
    pooling: Pooling = "none"
    normalize = False
    for module in modules:
        kind = str(module["type"]).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling = _pooling(folder, str(module["path"]))
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise StepError(
                f"{folder.name}/modules.json has a module '{kind}'; known: Transformer, Pooling, "
                "Normalize",
                "source.pooling=none exports the transformer alone",
            )
    return Embedding(pooling, normalize)


def _pooling(folder: Path, path: str) -> Pooling:
    if not PurePosixPath(path).parts or ".." in PurePosixPath(path).parts or path.startswith("/"):
        raise StepError(f"{folder.name}/modules.json has the path '{path}', no folder of the model")
    config = _json(folder / path / "config.json") or {}
    named = config.get("pooling_mode")
    flags = sorted(k for k, on in config.items() if k.startswith("pooling_mode_") and on is True)
    modes = [named] if isinstance(named, str) else [_MODES.get(flag, flag) for flag in flags]
    for known in _KNOWN:
        if modes == [known]:
            return known
    raise StepError(
        f"{folder.name}/{path} pools by {', '.join(modes) or 'nothing'}; "
        f"known: one of {', '.join(_KNOWN)}",
        "source.pooling=mean",
    )


def _json(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise StepError(f"{file.parent.name}/{file.name} is no JSON: {error}") from error
