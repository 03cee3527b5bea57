"""The contract every plugin keeps, as tests that a plugin package runs on its own plugins.

    from taxiway.testing import PassContract

    class TestRoundWeights(PassContract):
        name = "round_weights"                  # its entry point
        options = [{}, {"mantissa_bits": 4}]
        refused = [{"mantissa_bits": 0}]

        @pytest.fixture
        def model(self, tmp_path):              # a model that the pass takes
            return describe(write_my_model(tmp_path / "m.onnx"), "onnx")

pytest collects the contract's tests with the class. It needs pytest, and the package installed, so
that its entry points are found.
"""

import pytest

pytest.register_assert_rewrite(
    "taxiway.testing.contract",
    "taxiway.testing.datasets",
    "taxiway.testing.models",
    "taxiway.testing.results",
)

from taxiway.testing.contract import PluginContract  # noqa: E402
from taxiway.testing.datasets import DataSourceContract, WatchedDataset  # noqa: E402
from taxiway.testing.models import (  # noqa: E402
    ConverterContract,
    PassContract,
    SourceContract,
    TargetContract,
)
from taxiway.testing.results import (  # noqa: E402
    CalibrationContract,
    DeployContract,
    EvaluateContract,
    LedgerContract,
    ParityContract,
)

__all__ = [
    "CalibrationContract",
    "ConverterContract",
    "DataSourceContract",
    "DeployContract",
    "EvaluateContract",
    "LedgerContract",
    "ParityContract",
    "PassContract",
    "PluginContract",
    "SourceContract",
    "TargetContract",
    "WatchedDataset",
]
