"""Which rows a training trains on, and which ones it watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taxiway.errors import StepError
from taxiway.optimize.training.augment import check_augmentation
from taxiway.optimize.training.config import Training
from taxiway.optimize.training.rows import RowStream
from taxiway.plugins import Context


@dataclass(frozen=True)
class TrainingRows:
    """Both streams; `validation` is None where nothing is watched.

    batch: rows of a step. fixed: the network takes no other number.
    """

    train: RowStream
    validation: RowStream | None
    batch: int
    fixed: bool


def training_rows(
    network: Any, training: Training, context: Context, labels: bool = True
) -> TrainingRows:
    """Open the rows that `training` names; a share is held out by the seed.

    Raises StepError where there is no data, no row is left, early stopping has nothing to watch, or the
    rows do not fit the network.
    """
    import numpy as np

    from taxiway.model.inspect import keras_signature
    from taxiway.model.runners.batching import fixed_batch

    if context.data is None:
        raise StepError("a training needs rows, and the recipe has no data", "data=npz")
    signature, memory = keras_signature(network), training.memory << 20
    check_augmentation(training.augment, signature)
    selection = training.reads(labels)[0]
    total = context.data.count(selection)
    watched, chosen = selection, np.zeros(total, bool)
    if isinstance(training.validation, str):
        watched = training.reads(labels)[1]
        held = context.data.count(watched)
    else:
        held = round(total * training.validation)
        drawn = np.random.default_rng([context.seed, total]).permutation(total)
        chosen[drawn[:held]] = True
    if training.patience is not None and not held:
        raise StepError(
            "early stopping has no rows to watch",
            "training.validation=0.1, or training.patience=null",
        )
    train = RowStream(context.data, selection, signature, memory, ~chosen)
    validation = None
    if held:
        marks = None if isinstance(training.validation, str) else chosen
        # What both hold is bounded together; validation rows that do not fit are streamed.
        left = memory - train.count * train.row_bytes
        validation = RowStream(context.data, watched, signature, max(left, 0), marks)
    size = fixed_batch(signature)
    return TrainingRows(train, validation, size or training.batch_size, size is not None)
