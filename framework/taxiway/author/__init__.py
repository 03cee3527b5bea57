"""Helps people write recipes: starter recipes from a model file, completion, one-line outlines."""
