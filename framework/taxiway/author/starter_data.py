"""Which arrays are a model's inputs and labels, guessed from shapes, dtypes and names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taxiway.data.archive import NpzArchive
from taxiway.errors import TaxiwayError, UsageError
from taxiway.model import Signature, TensorSpec

_UNKNOWN_RANK = ("...",)
_CALIBRATION = ("train", "calib")
_TEST = ("test", "eval", "val")
_LABELS = ("label", "target", "class", "y")


@dataclass(frozen=True)
class Array:
    """What the header of an array says. kind: numpy's one-letter kind of the dtype."""

    name: str
    dtype: str
    kind: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Guess:
    """inputs: model input -> array, for the test rows. calibration: the same for rows of its own.

    labels: the array of the labels of the test rows; None where there is none.
    """

    inputs: Mapping[str, Array]
    labels: Array | None
    calibration: Mapping[str, Array] | None

    @property
    def calibration_rows(self) -> int:
        """Rows to calibrate with: those of its own, else the half that a split by default takes."""
        if self.calibration:
            return next(iter(self.calibration.values())).shape[0]
        return next(iter(self.inputs.values())).shape[0] // 2


def guess(path: Path, signature: Signature) -> Guess:
    """Raises UsageError that shows the arrays and the inputs where they do not fit."""
    arrays = list(_arrays(NpzArchive(path)))
    test = _assign(signature.inputs, [a for a in arrays if not _named(a, _CALIBRATION)])
    train = _assign(signature.inputs, [a for a in arrays if _named(a, _CALIBRATION)])
    inputs = test or train
    if inputs is None:
        found = "; ".join(map(str, arrays)) or "no arrays"
        wanted = "; ".join(map(str, signature.inputs))
        raise UsageError(
            f"no array in {path.name} fits the model's input: found {found}; expected {wanted}",
            "store one array per input, samples along the first axis",
        )
    others = [a for a in arrays if a not in inputs.values()]
    return Guess(inputs, _labels(others, inputs, signature.outputs), train if test else None)


def _arrays(archive: NpzArchive) -> Iterator[Array]:
    for name in archive.names:
        try:
            array = archive.array(name)
        except TaxiwayError:
            continue
        yield Array(name, str(array.dtype), array.dtype.kind, array.shape)


def _named(array: Array, words: Sequence[str]) -> bool:
    return any(word in array.name.lower() for word in words)


def fits(spec: TensorSpec, array: Array) -> bool:
    """Whether rows of the array can be samples of the input."""
    kinds = "US" if spec.dtype == "str" else "biuf" if is_real(spec) else "biu"
    if array.kind not in kinds or not array.shape:
        return False
    if spec.shape == _UNKNOWN_RANK:
        return True
    sample = zip(spec.shape[1:], array.shape[1:], strict=False)
    return len(spec.shape) == len(array.shape) and all(
        isinstance(a, str) or a == b for a, b in sample
    )


def is_real(spec: TensorSpec) -> bool:
    """Whether the input takes real numbers; a quantized one does, by its scale."""
    return spec.quantized or "float" in spec.dtype


def _assign(specs: Sequence[TensorSpec], arrays: Sequence[Array]) -> dict[str, Array] | None:
    """One array per input, by name, then by dtype, then by order; None where one is left."""
    chosen: dict[str, Array] = {}
    for spec in specs:
        taken = {array.name for array in chosen.values()} | {s.name for s in specs if s != spec}
        free = [array for array in arrays if array.name not in taken and fits(spec, array)]
        if not free:
            return None
        wanted = "float32" if spec.quantized else spec.dtype
        chosen[spec.name] = min(
            free, key=lambda a: (a.name != spec.name, not _named(a, _TEST), a.dtype != wanted)
        )
    return chosen


def _labels(
    arrays: Sequence[Array], inputs: Mapping[str, Array], outputs: Sequence[TensorSpec]
) -> Array | None:
    rows = next(iter(inputs.values())).shape[0]
    classes = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    found = [
        a
        for a in arrays
        if a.shape
        and a.shape[0] == rows
        and (
            (a.kind in "iu" and a.shape[1:] in ((), (1,)))
            or (a.kind in "biuf" and a.shape[1:] == (classes,))
        )
    ]
    same_split = [any(_named(a, _TEST) for a in inputs.values())]
    return min(
        found,
        key=lambda a: (_named(a, _TEST) not in same_split, not _named(a, _LABELS), len(a.shape)),
        default=None,
    )
