"""Quantization-aware training: a network learns to be right with the values that integers can hold."""
