"""ONNX's own backend tests through ONNX -> ONNX: a sample; all of them with TAXIWAY_ONNX_CASES=all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EVERY = 1 if os.environ.get("TAXIWAY_ONNX_CASES") == "all" else 13
ALWAYS = (
    *(
        "test_sequence_insert_at_front",
        "test_if_opt",
        "test_identity_opt",
    ),
    *(
        "test_loop11",
        "test_if_seq",
        "test_scan9_sum",
        "test_strnormalizer_nostopwords_nochangecase",
    ),
    *("test_cast_FLOAT_to_BFLOAT16", "test_cast_INT4_to_FLOAT", "test_einsum_scalar"),
    *("test_mvn", "test_bitcast_scalar_float32_to_int32", "test_split_to_sequence_1"),
    *("test_constant", "test_reduce_sum_empty_set", "test_nonzero_example", "test_shufflenet"),
)
"""Sequences, optionals, subgraphs, text, 4 bits, scalars, no inputs, no elements, a whole network."""


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import onnx_to_onnx_cases

        yield onnx_to_onnx_cases
    finally:
        sys.path.remove(folder)


def test_every_case_that_onnx_runtime_passes(
    script: Any, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    passed, always = 0, set()
    for number, case in enumerate(script.cases()):
        if number % EVERY and case.name not in ALWAYS:
            continue
        if script.onnxruntime_passes(case):
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        with subtests.test(case.name):
            assert script.through_taxiway(case, folder) is None
            passed += 1
            always |= {case.name} & {*ALWAYS}
    assert passed > 120
    assert always == {*ALWAYS}
