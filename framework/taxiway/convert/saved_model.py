"""The target SavedModel."""

from __future__ import annotations

from taxiway.plugins import Config, Target


class SavedModelConfig(Config, frozen=True):
    """Conversion to a TensorFlow SavedModel takes no options."""


class ToSavedModel(Target):
    """Writes the inference function as a SavedModel with one signature, `serving_default`."""

    Config = SavedModelConfig
    produces = "saved_model"
