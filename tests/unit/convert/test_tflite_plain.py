"""The file that tf2onnx gets is the same model, with distinct names and codes in both fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

import taxiway
from taxiway.convert.tflite_plain import tensor_name, write_plain
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Context, registry

pytestmark = pytest.mark.slow

ALONE = ["evaluate=null", "deploy=null"]


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits classifier as AI Edge Quantizer writes it."""
    folder = tmp_path_factory.mktemp("digits")
    recipe = taxiway.load("digits_int8", ALONE)
    made = recipe.run(output=folder / "runs", store=folder / "store").artifact
    assert made is not None
    return made


def read(path: Path):
    return flatbuffer_utils.read_model_from_bytearray(bytearray(path.read_bytes()))


def test_names_are_distinct_and_codes_stand_in_both_fields(quantized: Path, tmp_path: Path) -> None:
    write_plain(quantized, tmp_path / "plain.tflite")
    before, after = read(quantized), read(tmp_path / "plain.tflite")
    names = [tensor.name for tensor in after.subgraphs[0].tensors]
    assert names == [tensor_name(at).encode() for at in range(len(names))]
    wanted = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in before.operatorCodes]
    assert [code.builtinCode for code in after.operatorCodes] == wanted
    assert [code.deprecatedBuiltinCode for code in after.operatorCodes] == wanted
    assert [code.deprecatedBuiltinCode for code in before.operatorCodes] != wanted


def test_it_becomes_the_same_onnx_model(quantized: Path, tmp_path: Path) -> None:
    source = describe(quantized, "tflite")
    plugin = registry().get("converter", "tflite_to_onnx")
    step = plugin.implementation("tflite")
    result = step.run(source, plugin.step.Config(), Context(workdir=tmp_path))
    (name,) = (spec.name for spec in source.signature.inputs)
    inputs = {name: np.random.default_rng(0).uniform(0, 1, (32, 8, 8, 1)).astype(np.float32)}
    expected, found = open_runner(source).predict(inputs), open_runner(result).predict(inputs)
    assert [spec.name for spec in result.signature.outputs] == list(expected)
    for output, spec in zip(expected, source.signature.outputs, strict=True):
        # One step of the output's quantization.
        np.testing.assert_allclose(found[output], expected[output], atol=1.01 * spec.scale)
