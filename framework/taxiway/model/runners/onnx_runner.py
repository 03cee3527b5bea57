"""ONNX Runtime on the CPU: models in ONNX, and in its own format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.model.model import Model
from taxiway.model.onnx_file import LARGE
from taxiway.model.runners import onnx_values
from taxiway.model.runners.batching import fixed_batch, predict
from taxiway.model.runners.failures import failure
from taxiway.model.runners.kernels import Kernels


class OnnxRunner:
    """An inference session; threads do not spin, so that latencies of neighbours stay honest.

    A large model keeps its weights where the file is mapped: packed for the kernels, or folded from
    float16, they would be held twice.
    """

    def __init__(self, model: Model, threads: int, kernels: Kernels = "fast") -> None:
        import onnxruntime

        options = session_options(threads)
        if kernels == "plain":
            # Without fusions and blocked layouts the same sums are done in another order.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        disabled = []
        if model.size > LARGE:
            # https://github.com/microsoft/onnxruntime: onnxruntime_session_options_config_keys.h
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_cpu_mem_arena = False
            disabled = ["ConstantFolding"]
        try:
            self._session = onnxruntime.InferenceSession(
                str(model.path),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=disabled,
            )
        except Exception as error:
            raise failure(f"ONNX Runtime cannot load {model.path.name}", error) from error
        self.signature = model.signature
        self._outputs = [spec.name for spec in model.signature.outputs]
        specs = (*model.signature.inputs, *model.signature.outputs)
        self._extended = onnx_values.needed(specs)

    def predict(
        self, inputs: Mapping[str, np.ndarray[Any, Any]]
    ) -> dict[str, np.ndarray[Any, Any]]:
        return predict(self.signature, self._invoke, inputs, fixed_batch(self.signature))

    def _invoke(self, stored: dict[str, Any]) -> list[Any]:
        if self._extended:
            return onnx_values.run(self._session, self._outputs, stored)
        outputs: list[Any] = self._session.run(self._outputs, stored)
        return outputs


def session_options(threads: int) -> Any:
    """onnxruntime.SessionOptions on so many threads that do not spin, and say errors only."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
