"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.model.model import Model
from taxiway.model.runners.batching import fixed_batch, predict
from taxiway.model.runners.failures import failure


class OnnxRunner:
    """An inference session; threads do not spin, so that latencies of neighbours stay honest."""

    def __init__(self, model: Model, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(model.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise failure(f"ONNX Runtime cannot load {model.path.name}", error) from error
        self.signature = model.signature
        self._outputs = [spec.name for spec in model.signature.outputs]

    def predict(
        self, inputs: Mapping[str, np.ndarray[Any, Any]]
    ) -> dict[str, np.ndarray[Any, Any]]:
        return predict(
            self.signature,
            lambda stored: self._session.run(self._outputs, stored),
            inputs,
            fixed_batch(self.signature),
        )
