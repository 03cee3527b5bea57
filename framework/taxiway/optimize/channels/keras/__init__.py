"""Channels of Keras networks."""
