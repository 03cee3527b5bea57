"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mlperf_tiny() -> Path:
    """The folder of the MLPerf Tiny reference models; skips where there is none."""
    default = Path(__file__).parents[2] / "shared" / "mlperf-tiny"
    folder = Path(os.environ.get("TAXIWAY_MLPERF_TINY", default))
    if not folder.is_dir():
        pytest.skip(f"no MLPerf Tiny models at {folder} (set TAXIWAY_MLPERF_TINY)")
    return folder
