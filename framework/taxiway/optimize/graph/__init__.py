"""Passes over an ONNX graph that compute the same with fewer or with faster nodes."""
