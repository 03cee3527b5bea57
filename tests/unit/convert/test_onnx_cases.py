"""A sample of the onnx wheel's own cases, by `benchmarks/onnx_cases.py`, which runs them all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "onnx_cases.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("onnx_cases", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["onnx_cases"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases(script: Any) -> Any:
    return script.all_cases()


EQUAL = [
    "node/test_add_bcast",
    "node/test_and_bcast3v1d",
    "node/test_argmax_keepdims_example",
    "node/test_averagepool_2d_ceil",
    "node/test_averagepool_2d_pads_count_include_pad",
    "node/test_averagepool_2d_same_lower",
    "node/test_basic_conv_with_padding",
    "node/test_batchnorm_example",
    "node/test_cast_FLOAT_to_DOUBLE",
    "node/test_celu",
    "node/test_clip_default_inbounds",
    "node/test_concat_3d_axis_1",
    "node/test_conv_with_autopad_same",
    "node/test_convtranspose_pads",
    "node/test_depthtospace_crd_mode_example",
    "node/test_div_int32_trunc",
    "node/test_einsum_batch_matmul",
    "node/test_flatten_axis2",
    "node/test_gather_negative_indices",
    "node/test_gather_elements_1",
    "node/test_gelu_tanh_1",
    "node/test_gemm_alpha",
    "node/test_group_normalization_epsilon",
    "node/test_hardswish",
    "node/test_instancenorm_example",
    "node/test_layer_normalization_4d_axis1",
    "node/test_logsoftmax_axis_1",
    "node/test_matmul_3d",
    "node/test_maxpool_2d_ceil",
    "node/test_maxpool_2d_dilations",
    "node/test_mod_mixed_sign_float32",
    "node/test_prelu_broadcast",
    "node/test_softmax_axis_0",
    "node/test_transpose_all_permutations_3",
    "node/test_tril_neg",
    "node/test_where_example",
    "pytorch-converted/test_Conv1d_groups",
    "pytorch-converted/test_Conv2d_depthwise_with_multiplier",
    "pytorch-converted/test_ConvTranspose2d_no_bias",
]
NAMED = [
    "node/test_bitshift_left_uint16",
    "node/test_strnormalizer_export_monday_casesensintive_lower",
    "node/test_cumprod_1d",
    "node/test_loop11",
    "node/test_scan9_sum",
    "node/test_sequence_insert_at_back",
    "node/test_string_concat",
    "node/test_if_seq",
    "node/test_dft",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUAL)
def test_a_case_converts_and_gives_what_it_expects(
    name: str, script: Any, cases: Any, tmp_path: Path
) -> None:
    outcome = script.judge(name, cases[name], "tflite", tmp_path)
    assert outcome.verdict == script.EQUAL, outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_what_does_not_convert_says_which_operator(
    name: str, script: Any, cases: Any, tmp_path: Path
) -> None:
    outcome = script.judge(name, cases[name], "tflite", tmp_path)
    assert outcome.verdict in (script.NAMED, script.UNFIT), outcome


@pytest.mark.parametrize(
    ("expected", "found", "verdict"),
    [
        (np.ones(3, np.float32), np.ones(3, np.float32) * np.float32(1.0001), True),
        (np.ones(3, np.float32), np.ones(3, np.float32) * np.float32(1.01), False),
        (np.array([1, 2]), np.array([1, 2], np.int32), True),
        (np.array([1, 2]), np.array([2, 1]), False),
        (np.array([np.nan]), np.array([0.0]), False),
        (np.ones((1, 3)), np.ones(3), False),
    ],
    ids=["rounding", "one percent", "integers", "other integers", "not a number", "shape"],
)
def test_the_comparison_can_fail(expected: Any, found: Any, verdict: bool, script: Any) -> None:
    assert script.same(expected, found) is verdict


def test_a_model_that_kills_the_worker_is_one_outcome(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "_serve", _dying)
    outcome = script.Guarded("tflite").judge("any")
    assert outcome.verdict == script.CRASHED
    assert "exit code 7" in outcome.reason


def _dying(pipe: Any, target: str) -> None:
    import os

    pipe.recv()
    os._exit(7)
