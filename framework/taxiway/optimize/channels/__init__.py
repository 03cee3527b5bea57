"""Structured pruning: whole channels are cut out of a network, with everything that is connected to them."""
