"""A model on disk, its signature, and the runners that execute it."""

from taxiway.model.model import FORMATS, Format, Model, Signature, TensorSpec

__all__ = ["FORMATS", "Format", "Model", "Signature", "TensorSpec"]
