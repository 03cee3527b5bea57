"""A bundle for ONNX Runtime: servers and desktops with Python and onnxruntime."""

from __future__ import annotations

from taxiway.deploy.bundle import Bundle, BundleConfig


class OnnxRuntimeBundle(Bundle):
    """An .onnx or .ort with what it takes to run and check it on a target."""

    accepts = frozenset({"onnx", "ort"})
    libraries = ("onnx", "onnxruntime", "numpy")
    runtime = "onnxruntime"

    class Config(BundleConfig, frozen=True, tag_field="type", tag="onnxruntime_bundle"):
        """A folder that runs an ONNX model with numpy and onnxruntime alone."""
