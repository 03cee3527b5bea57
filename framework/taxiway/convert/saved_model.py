"""The target SavedModel."""

from __future__ import annotations

from taxiway.convert.ends import EndsConfig
from taxiway.plugins import Target


class SavedModelConfig(EndsConfig, frozen=True):
    """Options of the conversion to a TensorFlow SavedModel."""


class ToSavedModel(Target):
    """Writes the inference function as a SavedModel with one signature, `serving_default`."""

    Config = SavedModelConfig
    produces = "saved_model"
