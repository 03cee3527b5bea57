"""Fewer bits: for weights alone, for weights and activations, and the fallback that keeps some operators."""
