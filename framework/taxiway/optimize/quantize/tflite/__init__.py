"""Quantization of .tflite models with AI Edge Quantizer."""
