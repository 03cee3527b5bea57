"""Quantization of ONNX models with ONNX Runtime."""
