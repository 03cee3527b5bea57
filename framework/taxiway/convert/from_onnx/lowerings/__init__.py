"""ONNX operators in TensorFlow's own, with the axes left where they are.

onnx2tf guesses at each operator whether the channels were moved; these need no guess. Each function
follows https://onnx.ai/onnx/operators/ for all versions up to that of the installed onnx package.
"""

from taxiway.convert.from_onnx.lowerings.operation import Operation, lowering

__all__ = ["Operation", "lowering"]
