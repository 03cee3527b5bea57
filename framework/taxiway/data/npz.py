"""A dataset in a NumPy archive: arrays of inputs and labels, split and preprocessed as a stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from taxiway import plugins
from taxiway.data.archive import NpzArchive
from taxiway.data.npy import NpyArray
from taxiway.data.preprocessing import InputType, Preprocessing
from taxiway.data.splits import Names, Split, check_splits, split_order
from taxiway.errors import StepError
from taxiway.plugins import CALIBRATION, TEST, Batch, Dataset, InputPath, Selection

if TYPE_CHECKING:
    import numpy as np

ONLY_INPUT = "input"


class Npz(plugins.DataSource):
    """Opens a .npz; memory stays bounded by a batch, whatever the file's size."""

    class Config(plugins.Config, frozen=True, tag_field="type", tag="npz"):
        """Arrays of a NumPy archive (.npz)."""

        path: Annotated[InputPath, Meta(description="The archive, as numpy.savez writes it.")]
        inputs: Annotated[
            Names, Meta(description="Array of the input, or model input name -> array.")
        ] = "x"
        labels: Annotated[str | None, Meta(description="Array of the labels; null for none.")] = "y"
        class_names: Annotated[
            tuple[str, ...] | None, Meta(description="Names of the classes, in label order.")
        ] = None
        scale: Annotated[float, Meta(description="Model input = scale * raw + offset.")] = 1.0
        offset: Annotated[float, Meta(description="Model input = scale * raw + offset.")] = 0.0
        dtype: Annotated[
            InputType,
            Meta(description="What the model takes; keep: each array as it is stored."),
        ] = "float32"
        splits: Annotated[
            dict[str, Split],
            Meta(description="Rows by use: calibration for quantization, test for evaluation."),
        ] = msgspec.field(
            default_factory=lambda: {CALIBRATION: Split(fraction=0.5), TEST: Split(fraction=0.5)}
        )

        def __post_init__(self) -> None:
            check_splits(self.splits)
            Preprocessing(self.scale, self.offset, self.dtype)

    def open(self, options: Config, seed: int) -> Dataset:
        """Raises StepError where the file is no archive, SafetyError where it is hostile."""
        return NpzDataset(options, seed)


class NpzDataset:
    """The `Dataset` over an archive. Selected rows come in the order of the file."""

    def __init__(self, options: Npz.Config, seed: int) -> None:
        self._options = options
        self._seed = seed
        self._archive = NpzArchive(Path(options.path))
        self._preprocessing = Preprocessing(options.scale, options.offset, options.dtype)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self._options.class_names

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._options.splits)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return dict(msgspec.to_builtins(self._preprocessing))

    def count(self, selection: Selection) -> int:
        return len(self._rows(selection))

    def fingerprint(self, selection: Selection) -> str:
        inputs, labels = self._arrays(selection)
        rows = self._rows(selection)
        arrays = [*sorted(inputs.items()), *([] if labels is None else [("", labels)])]
        head = {
            "arrays": [[name, a.dtype.str, list(a.shape[1:])] for name, a in arrays],
            "rows": len(rows),
            "labels": labels is not None,
            "preprocessing": self.preprocessing,
        }
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for _, array in arrays:
            for part in array.picked(rows):
                digest.update(part.tobytes())
        return digest.hexdigest()

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        inputs, labels = self._arrays(selection)
        rows = self._rows(selection)
        streams = [array.batches(rows, size) for array in _present(inputs, labels)]
        for parts in zip(*streams, strict=True):
            raw = dict(zip(inputs, parts, strict=False))
            yield Batch(
                {name: self._preprocessing.apply(part) for name, part in raw.items()},
                None if labels is None else parts[-1].astype(parts[-1].dtype.newbyteorder("=")),
            )

    def _split(self, selection: Selection) -> Split:
        splits = self._options.splits
        if selection.split not in splits:
            raise StepError(
                f"the data has no split '{selection.split}'",
                f"add it under data.splits; found: {', '.join(sorted(splits)) or 'none'}",
            )
        return splits[selection.split]

    def _arrays(self, selection: Selection) -> tuple[dict[str, NpyArray], NpyArray | None]:
        split = self._split(selection)
        names = split.inputs if split.inputs is not None else self._options.inputs
        label_name = split.labels if split.inputs is not None else self._options.labels
        if isinstance(names, str):
            names = {ONLY_INPUT: names}
        inputs = {name: self._archive.array(array) for name, array in names.items()}
        if not inputs:
            raise StepError("data.inputs names no array", "write `inputs: NAME`")
        labels = None
        if selection.labels:
            if label_name is None:
                other = f", or {selection.unlabelled}" if selection.unlabelled else ""
                raise StepError(
                    f"split '{selection.split}' has no labels",
                    f"name their array: `labels: NAME` beside its inputs{other}",
                )
            labels = self._archive.array(label_name)
        counts = {array.name: len(array) for array in _present(inputs, labels)}
        if len(set(counts.values())) != 1:
            found = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            raise StepError(f"arrays of split '{selection.split}' differ in rows: {found}")
        return inputs, labels

    def _rows(self, selection: Selection) -> np.ndarray[Any, Any]:
        """The selected row numbers, ascending: a compressed array can only be read forwards."""
        import numpy as np

        inputs, _ = self._arrays(selection)
        count = len(next(iter(inputs.values())))
        order = split_order(self._options.splits, selection.split, count, self._seed)
        return np.sort(order[: selection.samples])


def _present(inputs: dict[str, NpyArray], labels: NpyArray | None) -> list[NpyArray]:
    return [*inputs.values(), *([] if labels is None else [labels])]
