"""Options of distillation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from taxiway.optimize.training.config import Training
from taxiway.plugins import ByteSize, Config, InputPath

LayerName = Annotated[str, Meta(min_length=1, max_length=300)]
SOURCES = "file, architecture, or width and depth"


class Student(Config, frozen=True):
    """The network that learns: from a file, from a registered architecture, or cut from the teacher."""

    file: Annotated[
        InputPath | None,
        Meta(description="A Keras file; its weights are where the training starts."),
    ] = None
    architecture: Annotated[
        str | None,
        Meta(
            description="The name of a registered architecture: cnn, depthwise_cnn, mlp, or one that "
            "a package offers under the entry-point group taxiway.architecture."
        ),
    ] = None
    arguments: Annotated[
        dict[str, Any],
        Meta(description="Options of the architecture, such as `{channels: [8, 16]}`."),
    ] = {}
    width: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description="Share of the teacher's channels and units that each layer keeps; inputs and "
            "outputs stay as they are."
        ),
    ] = None
    depth: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description="Share of the teacher's repeated blocks that are kept, one of each at least."
        ),
    ] = None
    keep: Annotated[
        tuple[LayerName, ...],
        Meta(description="Layers whose channels or units `width` leaves alone."),
    ] = ()

    def __post_init__(self) -> None:
        derived = self.width is not None or self.depth is not None
        named = [bool(self.file), bool(self.architecture), derived]
        if sum(named) > 1:
            raise ValueError(f"student: give one of {SOURCES}, not several")
        if self.arguments and not self.architecture:
            raise ValueError("student.arguments: they are for a student.architecture")
        if self.keep and self.width is None:
            raise ValueError("student.keep: it is for a student.width")

    @property
    def given(self) -> bool:
        """Whether any source is named."""
        return bool(self.file or self.architecture or self.width or self.depth)


class Features(Config, frozen=True):
    """Hints: inner layers of the student that learn those of the teacher."""

    pairs: Annotated[
        dict[LayerName, LayerName],
        Meta(description="Layer of the teacher -> layer of the student, such as `{conv2: conv2}`."),
    ] = {}
    weight: Annotated[
        float,
        Meta(
            gt=0,
            description="Of the features' loss, which is the mean squared error as a share of the "
            "teacher's mean square.",
        ),
    ] = 1.0


class DistillConfig(Config, frozen=True):
    """Options of distillation."""

    student: Student = Student()
    alpha: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of the labels in the loss; the rest is the teacher's. 0 needs no "
            "labels, 1 trains the student alone.",
        ),
    ] = 0.1
    temperature: Annotated[
        float,
        Meta(gt=0, le=100, description="Softens the probabilities of teacher and student alike."),
    ] = 4.0
    loss: Annotated[
        Literal["probabilities", "values"] | None,
        Meta(
            description="How outputs are compared: as probabilities at the temperature, or as values "
            "by the mean squared error. null: probabilities where the teacher's output is a softmax "
            "or a sigmoid, or where labels are classes; else values."
        ),
    ] = None
    features: Features = Features()
    cache: Annotated[
        ByteSize,
        Meta(
            description="Disk for what the teacher says, computed once; where it does not fit, and "
            "with augmentation, the teacher runs in every step."
        ),
    ] = "1 GiB"
    training: Training = Training()
