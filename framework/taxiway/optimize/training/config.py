"""Options of a training inside a pass."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.plugins import TRAIN, Config, Selection


class Augmentation(Config, frozen=True):
    """Random changes of a training sample, of inputs `[height, width, channels]`; each is off at 0."""

    shift: Annotated[
        float, Meta(ge=0, lt=1, description="Largest shift along height and width, as a share.")
    ] = 0.0
    rotate: Annotated[
        float, Meta(ge=0, le=180, description="Largest rotation either way, in degrees.")
    ] = 0.0
    zoom: Annotated[float, Meta(ge=0, lt=1, description="Largest zoom in or out, as a share.")] = (
        0.0
    )
    flip: Annotated[bool, Meta(description="Mirror half of the samples left to right.")] = False
    noise: Annotated[
        float, Meta(ge=0, description="Standard deviation of Gaussian noise that is added.")
    ] = 0.0


class Training(Config, frozen=True):
    """Rows, epochs and step size of a training."""

    epochs: Annotated[int, Meta(ge=0, description="Passes over the training rows, at most.")] = 10
    batch_size: Annotated[int, Meta(ge=1, description="Rows of one gradient step.")] = 64
    learning_rate: Annotated[
        float, Meta(gt=0, description="Of Adam at the start; it falls to 0 along a cosine.")
    ] = 1e-3
    split: Annotated[str, Meta(description="The split that is trained on; it needs labels.")] = (
        TRAIN
    )
    samples: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="At most this many rows; null for all.")
    ] = None
    output: Annotated[
        str | None,
        Meta(description="The output that the labels are of; null: the first of real numbers."),
    ] = None
    validation: Annotated[
        str | float,
        Meta(
            description="What early stopping watches: the name of a split with labels, or a share "
            "of the training rows that is held out, such as 0.1; 0 for none."
        ),
    ] = 0.1
    patience: Annotated[
        int | None,
        Meta(
            description="Stop after this many epochs without a better validation loss, and keep the "
            "best weights; null: train all epochs and keep the last."
        ),
    ] = None
    augment: Annotated[
        Augmentation, Meta(description="Random changes of each training sample.")
    ] = Augmentation()
    memory: Annotated[
        int,
        Meta(
            ge=1,
            description="MiB of rows that are held at once to be shuffled; the rest is streamed.",
        ),
    ] = 256

    def __post_init__(self) -> None:
        if isinstance(self.validation, float | int) and not 0 <= self.validation < 1:
            raise ValueError("validation: a share must be from 0 to below 1, such as 0.1")

    def reads(self, labels: bool = True) -> tuple[Selection, ...]:
        """The rows of the training and, where it is a split of its own, of the validation.

        None where there are no epochs. labels: whether the pass needs them.
        """
        if not self.epochs:
            return ()
        train = Selection(self.split, self.samples, labels=labels)
        if isinstance(self.validation, str):
            return (train, Selection(self.validation, labels=labels))
        return (train,)
