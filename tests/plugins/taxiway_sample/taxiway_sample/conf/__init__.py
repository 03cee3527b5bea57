"""Config groups of the plugins in this package."""
