"""A bundle for LiteRT: phones, single-board computers, and any Python with ai-edge-litert."""

from __future__ import annotations

from taxiway.deploy.bundle import Bundle, BundleConfig


class LiteRTBundle(Bundle):
    """A .tflite with what it takes to run and check it on a target."""

    excludes = {"select_tf_ops": "LiteRT has no Select TF ops"}
    accepts = frozenset({"tflite"})
    libraries = ("ai-edge-litert", "numpy")
    runtime = "ai-edge-litert"

    class Config(BundleConfig, frozen=True, tag_field="type", tag="litert_bundle"):
        """A folder that runs a TFLite model with numpy and ai-edge-litert alone."""
