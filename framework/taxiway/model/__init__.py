"""A model on disk, its signature, and the runners that execute it."""

from taxiway.model.model import FORMATS, Format, Layout, Model, Signature, TensorSpec

__all__ = ["FORMATS", "Format", "Layout", "Model", "Signature", "TensorSpec"]
