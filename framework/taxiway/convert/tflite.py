"""The target TFLite."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.plugins import Config, Target


class TFLiteConfig(Config, frozen=True):
    """Options of the conversion to TFLite."""

    select_tf_ops: Annotated[
        bool,
        Meta(
            description="Allow TensorFlow ops (Flex) where TFLite has none. The result then runs "
            "only where the Flex delegate is linked in."
        ),
    ] = False
    batch: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Fix a free first axis of the inputs to this size. Recurrent layers and "
            "microcontrollers need it; null keeps the axis free.",
        ),
    ] = None


class ToTFLite(Target):
    """Writes a .tflite file; the signature's input and output names are kept."""

    Config = TFLiteConfig
    produces = "tflite"
