"""Pruning: weights that matter least become zero, one by one or in patterns."""
