"""Weights of few distinct values: files that compress well."""
