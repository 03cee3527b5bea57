"""Distillation: a small network learns what a large one says."""
