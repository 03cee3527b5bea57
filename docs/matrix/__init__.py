"""The support matrix: small real models of every kind, brought to every target, with what came of it."""
