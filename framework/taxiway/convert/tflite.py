"""The target TFLite."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.convert.ends import EndsConfig
from taxiway.plugins import Target


class TFLiteConfig(EndsConfig, frozen=True):
    """Options of the conversion to TFLite."""

    select_tf_ops: Annotated[
        bool,
        Meta(
            description="Allow TensorFlow ops (Flex) where TFLite has none. The result then runs "
            "only where the Flex delegate is linked in."
        ),
    ] = False


class ToTFLite(Target):
    """Writes a .tflite file; the signature's input and output names are kept."""

    Config = TFLiteConfig
    produces = "tflite"
