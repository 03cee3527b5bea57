"""ONNX -> TensorFlow with onnx2tf, kept from guessing: prepared before, compared on samples after."""
