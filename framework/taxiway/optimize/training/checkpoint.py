"""The whole state of a training after an epoch, kept where a later attempt finds it."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from taxiway.optimize.training.history import History

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_HISTORY = "history"


@dataclass(frozen=True)
class State:
    """Arrays by name, and the history so far."""

    arrays: Mapping[str, Array]
    history: History


class Checkpoints:
    """The state of one training in a folder; the last one only.

    name: tells the trainings of one step apart. folder None: nothing is kept.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self.path = folder / f"{name}.npz" if folder else None

    def save(self, state: State) -> None:
        """Replace what is kept; a kill at any time leaves the old state or the new one."""
        import numpy as np

        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        history = np.frombuffer(json.dumps(state.history.to_dict()).encode(), np.uint8)
        partial = self.path.with_suffix(".tmp")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_HISTORY: history}, **_encoded(state.arrays))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def load(self) -> State | None:
        """What was kept; None where there is nothing, or nothing that can be read."""
        import numpy as np

        if self.path is None or not self.path.is_file():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            history = msgspec.json.decode(arrays.pop(_HISTORY).tobytes(), type=History)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.DecodeError):
            return None
        return State(_decoded(arrays), history)


def _encoded(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """NumPy writes no bfloat16: its bits are kept as integers, under a name that says so."""
    return {
        (name if array.dtype.kind != "V" else f"{name}!{array.dtype.name}"): (
            array if array.dtype.kind != "V" else array.view(f"u{array.dtype.itemsize}")
        )
        for name, array in arrays.items()
    }


def _decoded(arrays: Mapping[str, Array]) -> dict[str, Array]:
    from taxiway.model.runners.binding import numpy_dtype

    decoded = {}
    for name, array in arrays.items():
        plain, _, dtype = name.partition("!")
        decoded[plain] = array.view(numpy_dtype(dtype)) if dtype else array
    return decoded
