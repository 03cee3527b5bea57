"""Taxiway's own plugins keep the contract that it asks of others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from edited_tflite import pruned

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Context, Dataset, registry
from taxiway.plugins.registry import GROUPS
from taxiway.testing import (
    CalibrationContract,
    ConverterContract,
    DataSourceContract,
    DeployContract,
    EvaluateContract,
    LedgerContract,
    ParityContract,
    PassContract,
    PluginContract,
    SourceContract,
    TargetContract,
)

RECIPES = Path(__file__).parents[2] / "recipes"
DIGITS = RECIPES / "models" / "digits.keras"
SAMPLES = RECIPES / "data" / "digits.npz"
FRAMEWORKS = {"torch": "m.pt2", "sklearn": "m.skops", "huggingface": "m"}
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
needs_transformers = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None,
    reason="transformers is not installed",
)
needs_skops = pytest.mark.skipif(find_spec("skops") is None, reason="skops is not installed")
SPLITS = {"calibration": {"inputs": "x_train"}, "test": {"inputs": "x_test", "labels": "y_test"}}


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Model]:
    """The shipped digits classifier in every format, one folder each."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "keras").mkdir()
    shutil.copyfile(DIGITS, folder / "keras" / "digits.keras")
    models = {"keras": describe(folder / "keras" / "digits.keras", "keras")}
    for name, before in (("saved_model", "keras"), ("tflite", "keras"), ("onnx", "saved_model")):
        (folder / name).mkdir()
        plugin = registry().get("converter", f"{before}_to_{name}")
        context = Context(workdir=folder / name)
        step = plugin.implementation(before)
        models[name] = step.run(models[before], plugin.step.Config(), context)
    return models


@pytest.fixture(scope="session")
def frameworks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A model of each framework that is installed: torch, sklearn, huggingface."""
    folder = tmp_path_factory.mktemp("frameworks")
    paths = {name: folder / name / file for name, file in FRAMEWORKS.items()}
    for path in paths.values():
        path.parent.mkdir()
    if find_spec("torch"):
        import torch

        shapes = {"input": {0: torch.export.Dim("batch", max=64)}}
        program = torch.export.export(
            torch.nn.Linear(4, 3).eval(), (torch.ones(2, 4),), dynamic_shapes=shapes
        )
        torch.export.save(program, str(paths["torch"]))
    if find_spec("torch") and find_spec("transformers"):
        import transformers

        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.BertConfig(**sizes, intermediate_size=8, vocab_size=20)
        transformers.BertModel(config).save_pretrained(paths["huggingface"])
    if find_spec("skops"):
        import skops.io
        from sklearn.linear_model import LogisticRegression

        x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
        skops.io.dump(LogisticRegression().fit(x, x[:, 0] > 0), paths["sklearn"])
    return paths


@pytest.fixture
def samples() -> Dataset:
    """The digits, as the recipes read them."""
    plugin = registry().get("data", "npz")
    options = {"type": "npz", "path": str(SAMPLES), "scale": 0.0625, "splits": SPLITS}
    dataset: Dataset = plugin.step().open(  # type: ignore[attr-defined]
        msgspec.convert(options, plugin.step.Config), 0
    )
    return dataset


class _OfDigits:
    """The model in the format that the class asks for, and the digits as data."""

    format: str

    @pytest.fixture
    def model(self, digits: Mapping[str, Model]) -> Model:
        return digits[self.format]

    @pytest.fixture
    def data(self, samples: Dataset) -> Dataset:
        return samples


class TestNpz(DataSourceContract):
    name = "npz"
    options = [{"splits": SPLITS, "scale": 0.0625}]
    refused = [{"scale": "large"}, {"dtype": "complex64"}, {"splits": {"test": {"rows": "x"}}}]

    @pytest.fixture
    def paths(self) -> Mapping[str, Any]:
        return {"path": str(SAMPLES)}


class _Source(SourceContract):
    @pytest.fixture
    def paths(self, digits: Mapping[str, Model]) -> Mapping[str, Any]:
        return {"path": str(digits[self.name].path)}


@pytest.mark.slow
class TestKeras(_Source):
    name = "keras"


@pytest.mark.slow
class TestOnnx(_Source):
    name = "onnx"


@pytest.mark.slow
class TestTFLite(_Source):
    name = "tflite"


@pytest.mark.slow
class TestSavedModel(_Source):
    name = "saved_model"


class _OfFramework(SourceContract):
    @pytest.fixture
    def paths(self, frameworks: Mapping[str, Path]) -> Mapping[str, Any]:
        return {"path": str(frameworks[self.name])}


@needs_torch
@pytest.mark.slow
class TestTorch(_OfFramework):
    name = "torch"
    refused = [{"factory": "os.system"}, {"inputs": [{"name": "x", "shape": [1]}]}]


@needs_skops
@pytest.mark.slow
class TestSklearn(_OfFramework):
    name = "sklearn"


@needs_transformers
@pytest.mark.slow
class TestHuggingFace(_OfFramework):
    name = "huggingface"
    options = [{"pooling": "mean", "normalize": True}]
    refused = [{"task": "anything"}, {"pooling": "sum"}, {"fixed": {"batch": 0}}]


class TestOnnxTarget(TargetContract):
    name = "onnx"
    options = [{"opset": 15}]
    refused = [{"opset": 3}]


class TestTFLiteTarget(TargetContract):
    name = "tflite"
    options = [{"batch": 1}]
    refused = [{"batch": 0}, {"dims": {"batch": "free"}}, {"batch": 1, "dims": {"batch": 2}}]


class TestSavedModelTarget(TargetContract):
    name = "saved_model"
    options = [{"dims": {"batch": "dynamic"}}]
    refused = [{"io_layout": "chwn"}, {"io_dtype": "int4"}]


@pytest.mark.slow
class TestToTFLite(_OfDigits, ConverterContract):
    name = "keras_to_tflite"
    format = "keras"
    options = [{}, {"batch": 1}]
    refused = [{"batch": 0}]


@pytest.mark.slow
class TestToTFLiteFromSavedModel(TestToTFLite):
    name = "saved_model_to_tflite"
    format = "saved_model"


@pytest.mark.slow
class TestToOnnx(_OfDigits, ConverterContract):
    name = "saved_model_to_onnx"
    format = "saved_model"
    refused = [{"opset": 3}]


@pytest.mark.slow
class TestToOnnxFromTFLite(TestToOnnx):
    name = "tflite_to_onnx"
    format = "tflite"


@needs_torch
@pytest.mark.slow
class TestToOnnxFromTorch(ConverterContract):
    name = "torch_to_onnx"

    @pytest.fixture
    def model(self, frameworks: Mapping[str, Path]) -> Model:
        return describe(frameworks["torch"], "torch")


@needs_skops
@pytest.mark.slow
class TestToOnnxFromSklearn(ConverterContract):
    name = "sklearn_to_onnx"

    @pytest.fixture
    def model(self, frameworks: Mapping[str, Path]) -> Model:
        return describe(frameworks["sklearn"], "sklearn")


@pytest.mark.slow
class TestOnnxToOnnx(_OfDigits, ConverterContract):
    name = "onnx_to_onnx"
    format = "onnx"
    options = [{}, {"opset": 21}, {"dims": {"batch": 1}, "io_layout": "nchw"}]
    refused = [{"opset": 3}]


@pytest.mark.slow
class TestToTFLiteFromOnnx(TestToTFLite):
    name = "onnx_to_tflite"
    format = "onnx"


@pytest.mark.slow
class TestToSavedModelFromOnnx(_OfDigits, ConverterContract):
    name = "onnx_to_saved_model"
    format = "onnx"


@pytest.mark.slow
class TestToSavedModel(_OfDigits, ConverterContract):
    name = "keras_to_saved_model"
    format = "keras"
    options = [{}, {"io_dtype": "float16"}]


@pytest.mark.slow
class TestSavedModelToSavedModel(TestToSavedModel):
    name = "saved_model_to_saved_model"
    format = "saved_model"


class _Pass(_OfDigits, PassContract):
    format = "onnx"


@pytest.mark.slow
class TestFloat16(_Pass):
    name = "float16"


@pytest.mark.slow
class TestFloat16OfTFLite(TestFloat16):
    format = "tflite"


@pytest.mark.slow
class TestQuantizeDynamic(_Pass):
    name = "quantize_dynamic"
    options = [{}, {"granularity": "per_tensor"}]
    refused = [{"granularity": "per_row"}]


@pytest.mark.slow
class TestQuantizeDynamicOfTFLite(TestQuantizeDynamic):
    format = "tflite"


@pytest.mark.slow
class TestQuantizeWeightsOfTFLite(_Pass):
    name = "quantize_weights"
    format = "tflite"
    options = [{}, {"bits": 4}, {"bits": 4, "symmetric": False}]
    refused = [{"bits": 3}, {"block": 48}]


@pytest.mark.slow
class TestQuantizeInt16OfTFLite(_Pass):
    name = "quantize_int16"
    format = "tflite"
    options = [{"calibration": {"samples": 32}}, {"io_dtype": "float32"}]
    refused = [{"calibration": {"samples": 0}}, {"io_dtype": "int8"}]


@pytest.mark.slow
class TestQuantizeStatic(_Pass):
    name = "quantize_static"
    options = [{"calibration": {"samples": 32}}, {"io_dtype": "float32"}]
    refused = [{"calibration": {"samples": 0}}, {"io_dtype": "int4"}]


@pytest.mark.slow
class TestQuantizeStaticOfTFLite(TestQuantizeStatic):
    format = "tflite"


TRAINED = {"training": {"epochs": 1, "samples": 64}}


class _Training(_Pass):
    format = "keras"

    @pytest.fixture
    def data(self) -> Dataset:
        """The digits with a split to train on."""
        plugin = registry().get("data", "npz")
        splits = {**SPLITS, "train": {"inputs": "x_train", "labels": "y_train"}}
        options = {"type": "npz", "path": str(SAMPLES), "scale": 0.0625, "splits": splits}
        dataset: Dataset = plugin.step().open(  # type: ignore[attr-defined]
            msgspec.convert(options, plugin.step.Config), 0
        )
        return dataset


@pytest.mark.slow
class TestClusterWeights(_Training):
    name = "cluster_weights"
    options = [{"clusters": 8, **TRAINED}, {"training": {"epochs": 0}}]
    refused = [{"clusters": 1}, {"training": {"epochs": -1}}]


@pytest.mark.slow
class TestClusterWeightsOfOnnx(_Pass):
    name = "cluster_weights"
    options = [{"clusters": 8}, {"preserve_sparsity": True}]


@pytest.mark.slow
class TestQuantizeAwareTraining(_Training):
    name = "quantize_aware_training"
    options = [TRAINED, {**TRAINED, "granularity": "per_tensor", "activations": False}]
    refused = [{"granularity": "per_row"}, {"training": {"batch_size": 0}}]


@pytest.mark.slow
class TestDistill(_Training):
    name = "distill"
    options = [
        {"student": {"width": 0.5}, **TRAINED},
        {"student": {"architecture": "cnn", "arguments": {"channels": [4]}}, "alpha": 0, **TRAINED},
    ]
    refused = [{"temperature": 0}, {"alpha": 2}, {"student": {"width": 0.5, "architecture": "mlp"}}]


@pytest.mark.slow
class TestPruneMagnitude(_Training):
    name = "prune_magnitude"
    options = [{"sparsity": 0.5, **TRAINED}, {"pattern": "2:4", "training": {"epochs": 0}}]
    refused = [{"sparsity": 1}, {"pattern": "2:4", "sparsity": 0.8}, {"schedule": {"end": 0}}]


@pytest.mark.slow
class TestPruneMagnitudeOfOnnx(_Pass):
    name = "prune_magnitude"
    options = [{"sparsity": 0.5, "scope": "layer"}, {"pattern": "block", "block": [2, 4]}]


@pytest.mark.slow
class TestPruneChannels(_Training):
    name = "prune_channels"
    options = [
        {"target": {"macs": 0.5}, "importance": "gradient", **TRAINED},
        {"importance": "activation", "training": {"epochs": 0}},
    ]
    refused = [{"share": 1}, {"target": {}}, {"importance": "size"}, {"round_to": 0}]


@pytest.mark.slow
class TestPruneChannelsOfOnnx(_Pass):
    name = "prune_channels"
    options = [{"share": 0.5}, {"importance": "activation", "ranking": "global", "samples": 20}]


@pytest.mark.slow
class TestSimplify(_Pass):
    name = "simplify"
    options = [{}, {"skip": ["graph_fusion"], "largest_constant": None}]
    refused = [{"skip": ["everything"]}, {"largest_constant": "1 pt"}]


@pytest.mark.slow
class TestFuse(_Pass):
    name = "fuse"
    options = [{"level": "extended"}]
    refused = [{"level": "most"}, {"heads": 0}, {"transformer": "bigger"}]


@pytest.mark.slow
class TestLayout(_Pass):
    name = "layout"
    options = [{"io": "nchw"}]
    refused = [{"io": "chwn"}]


@pytest.mark.slow
class TestOrtFormat(_Pass):
    name = "ort_format"
    options = [{}, {"level": "basic"}]
    refused = [{"level": "most"}]


@pytest.mark.slow
class TestSparsifyOfTFLite(_Pass):
    name = "sparsify"
    format = "tflite"
    refused = [{"share": 0.5}]

    @pytest.fixture
    def model(self, digits: Mapping[str, Model], tmp_path: Path) -> Model:
        """The digits with nine of ten weights zero."""
        return pruned(digits["tflite"], tmp_path / "pruned.tflite", 0.9)


@pytest.mark.slow
class TestQuantizeWeights(_Pass):
    name = "quantize_weights"
    options = [{}, {"bits": 4}, {"bits": 4, "block": 16, "symmetric": False}]
    refused = [{"bits": 2}, {"block": 31}]


@pytest.mark.slow
class TestQuantizeInt16(_Pass):
    name = "quantize_int16"
    options = [{"calibration": {"samples": 32}}, {"io_dtype": "float32"}]
    refused = [{"calibration": {"samples": 0}}, {"io_dtype": "int8"}]


@pytest.mark.slow
class TestClassification(_OfDigits, EvaluateContract):
    name = "classification"
    format = "onnx"
    options = [{"samples": 50, "latency_samples": 5}, {"baseline": "none", "latency_samples": 5}]
    refused = [{"batch_size": 0}, {"baseline": "none", "gates": {"accuracy": {"max_drop": "1 pt"}}}]


@pytest.mark.slow
class TestDoctor(_OfDigits, CalibrationContract):
    name = "doctor"
    format = "onnx"
    options = [{}, {"rows": 96, "test": "test"}, {"allow_random": True}]
    refused = [{"rows": 1}, {"settled": 2}, {"saturation": 0}]


@pytest.mark.slow
class TestDoctorOfTFLite(TestDoctor):
    format = "tflite"


@pytest.mark.slow
class TestOutputs(_OfDigits, ParityContract):
    name = "outputs"
    format = "onnx"
    options = [{}, {"samples": 5, "tolerances": {"fp32": 1e-5}}, {"allow_random": True}]
    refused = [{"samples": 0}, {"tolerances": {"fp32": 0}}, {"tolerances": {"fp8": 1}}]

    @pytest.fixture
    def other(self, digits: Mapping[str, Model], tmp_path: Path) -> Model:
        """The same network in ONNX, with one weight changed in its last digits."""
        import onnx
        from onnx import numpy_helper

        changed = onnx.load(str(digits["onnx"].path))
        weight = max(changed.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        values = numpy_helper.to_array(weight) * 1.001
        weight.CopyFrom(numpy_helper.from_array(values.astype("float32"), weight.name))
        onnx.save(changed, tmp_path / "other.onnx")
        return describe(tmp_path / "other.onnx", "onnx")


@pytest.mark.slow
class TestOutputsOfTFLite(TestOutputs):
    format = "tflite"


@pytest.mark.slow
class TestWaterfall(_OfDigits, LedgerContract):
    name = "waterfall"
    format = "onnx"
    options = [
        {"rounds": 5},
        {"seconds": 0.01, "evaluate": {"type": "classification", "samples": 20}},
    ]
    refused = [{"rounds": 0}, {"seconds": 0}]


@pytest.mark.slow
class TestLiteRTBundle(_OfDigits, DeployContract):
    name = "litert_bundle"
    format = "tflite"
    options = [{"golden_samples": 4}]
    refused = [{"golden_samples": 0}]


@pytest.mark.slow
class TestOnnxRuntimeBundle(_OfDigits, DeployContract):
    name = "onnxruntime_bundle"
    format = "onnx"
    options = [{"golden_samples": 4}]
    refused = [{"golden_samples": 0}]


def test_every_plugin_is_held_to_the_contract() -> None:
    held = {
        (kind.section, kind.name)
        for kind in globals().values()
        if isinstance(kind, type) and issubclass(kind, PluginContract) and hasattr(kind, "name")
    }
    own = {
        (section, name)
        for section in GROUPS
        for name, plugin in registry().section(section).items()
        if plugin.builtin
    }
    assert held == own
