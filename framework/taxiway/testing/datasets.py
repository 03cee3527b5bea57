"""The contract of a data plugin, and a dataset that tells what a step read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from taxiway.errors import TaxiwayError
from taxiway.plugins import TEST, Batch, Dataset, Plugin, Selection
from taxiway.testing.contract import PluginContract


class WatchedDataset:
    """Passes everything on to `dataset`, and keeps the selections that were read."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.read: set[Selection] = set()

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self._dataset.class_names

    @property
    def splits(self) -> tuple[str, ...]:
        return self._dataset.splits

    @property
    def preprocessing(self) -> dict[str, Any]:
        return self._dataset.preprocessing

    def count(self, selection: Selection) -> int:
        return self._dataset.count(selection)

    def fingerprint(self, selection: Selection) -> str:
        return self._dataset.fingerprint(selection)

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        self.read.add(selection)
        return self._dataset.batches(selection, size)


class DataSourceContract(PluginContract):
    """A `paths` fixture gives the options that lead to the data.

    splits: the splits that the options give. labelled: whether they have labels.
    """

    section = "data"
    splits: ClassVar[tuple[str, ...]] = (TEST,)
    labelled: ClassVar[bool] = True

    @pytest.fixture
    def opened(self, plugin: Plugin, config: Any) -> Dataset:
        dataset: Dataset = plugin.implementation(None).open(config, 0)
        return dataset

    def test_batches_are_the_selection(self, opened: Dataset) -> None:
        """As many rows as counted, in the same order whatever the batch size, and no batch too large."""
        for split in self.splits:
            selection = Selection(split, samples=7, labels=self.labelled)
            count = opened.count(selection)
            assert 0 < count <= 7
            small, large = (list(opened.batches(selection, size)) for size in (3, 100))
            assert [_rows(batch) for batch in small] == [3] * (count // 3) + [count % 3] * (
                count % 3 > 0
            )
            assert _joined(small) == _joined(large)

    def test_labels_only_where_selected(self, opened: Dataset) -> None:
        selection = Selection(self.splits[0], samples=3)
        assert all(batch.labels is None for batch in opened.batches(selection, 3))
        if self.labelled:
            labelled = replace(selection, labels=True)
            for batch in opened.batches(labelled, 3):
                assert batch.labels is not None and len(batch.labels) == _rows(batch)

    def test_fingerprint(self, plugin: Plugin, config: Any, opened: Dataset) -> None:
        """Stable over openings, another one for other rows."""
        few, more = (Selection(self.splits[0], samples=n) for n in (2, 3))
        again = plugin.implementation(None).open(config, 0)
        assert opened.fingerprint(few) == again.fingerprint(few)
        assert opened.fingerprint(few) != opened.fingerprint(more)

    def test_missing_split_is_a_user_error(self, opened: Dataset) -> None:
        with pytest.raises(TaxiwayError, match="no_such_split"):
            opened.count(Selection("no_such_split"))


def _rows(batch: Batch) -> int:
    (rows,) = {len(array) for array in batch.inputs.values()}
    return rows


def _joined(batches: list[Batch]) -> dict[str, bytes]:
    names = batches[0].inputs
    joined = {name: b"".join(batch.inputs[name].tobytes() for batch in batches) for name in names}
    labels = [batch.labels.tobytes() for batch in batches if batch.labels is not None]
    return {**joined, "": b"".join(labels)}
