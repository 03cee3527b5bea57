"""Accuracy-driven fallback: the fewest operators in higher precision that restore the accuracy."""
