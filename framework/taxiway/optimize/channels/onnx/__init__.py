"""Channels of ONNX graphs."""
