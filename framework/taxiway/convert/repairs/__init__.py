"""Rewrites of an ONNX graph that a converter needs, or leaves behind: named, counted and told.

A repair never changes what the graph computes. It is listed in `docs/repairs.md`, and one that
fires is in the step's record and in the report.
"""

from taxiway.convert.repairs.registry import REPAIRS, apply_repairs, of_stage
from taxiway.convert.repairs.repair import Repair

__all__ = ["REPAIRS", "Repair", "apply_repairs", "of_stage"]
