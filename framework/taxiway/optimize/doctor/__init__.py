"""The calibration doctor: looks at samples before a pass sets the ranges of a model by them."""

from taxiway.optimize.doctor.doctor import Doctor

__all__ = ["Doctor"]
