"""PyTorch programs of different kinds -> ONNX: same names, same numbers, same bytes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from taxiway.convert.onnx import OnnxConfig
from taxiway.convert.torch_to_onnx import TorchToOnnx
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Context

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytestmark = pytest.mark.slow

_SCRIPT = Path(__file__).with_name("torch_models.py")
_spec = importlib.util.spec_from_file_location("torch_models", _SCRIPT)
assert _spec and _spec.loader
models: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(models)

NAMES = ["cnn", "lstm", "regressor", "encoder"]


def convert(model: Model, workdir: Path, opset: int = 18) -> Model:
    workdir.mkdir(parents=True)
    return TorchToOnnx().run(model, OnnxConfig(opset=opset), Context(workdir=workdir))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("torch")
    for name, program in models.build():
        torch.export.save(program, str(folder / f"{name}.pt2"))
    return {name: describe(folder / f"{name}.pt2", "torch") for name in NAMES}


@pytest.fixture(scope="module")
def results(
    sources: dict[str, Model], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("onnx")
    return {name: convert(model, folder / name) for name, model in sources.items()}


def samples(model: Model, batch: int, other: int) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    inputs = {}
    for spec in model.signature.inputs:
        shape = [batch if a == "batch" else other if isinstance(a, str) else a for a in spec.shape]
        if spec.dtype.startswith("float"):
            inputs[spec.name] = rng.normal(size=shape).astype(spec.dtype)
        elif spec.dtype == "bool":
            inputs[spec.name] = rng.random(shape) > 0.5
        else:
            inputs[spec.name] = rng.integers(1, 7, shape).astype(spec.dtype)
    if "mask" in inputs:
        inputs["mask"][:, -1] = 0
    return inputs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("batch", "other"), [(1, 4), (5, 11)])
def test_numbers(
    name: str, batch: int, other: int, sources: dict[str, Model], results: dict[str, Model]
) -> None:
    inputs = samples(sources[name], batch, other)
    expected = open_runner(sources[name]).predict(inputs)
    found = open_runner(results[name]).predict(inputs)
    assert list(found) == list(expected)
    for output, values in expected.items():
        assert values.shape[0] == batch
        np.testing.assert_allclose(found[output], values, atol=2e-6, err_msg=output)


@pytest.mark.parametrize("name", NAMES)
def test_signature(name: str, sources: dict[str, Model], results: dict[str, Model]) -> None:
    """Names of tensors and of free axes are those of the program."""
    before, after = sources[name].signature, results[name].signature
    assert list(map(str, after.inputs)) == list(map(str, before.inputs))
    assert list(map(str, after.outputs)) == list(map(str, before.outputs))


def test_another_process_writes_the_same_bytes(
    sources: dict[str, Model], results: dict[str, Model], tmp_path: Path
) -> None:
    program = (
        "import sys, json, hashlib, pathlib\n"
        "from taxiway.convert.torch_to_onnx import TorchToOnnx\n"
        "from taxiway.model.inspect import describe\n"
        "from taxiway.plugins import Context\n"
        "model = describe(pathlib.Path(sys.argv[1]), 'torch')\n"
        "result = TorchToOnnx().run(model, TorchToOnnx.Config(), Context(workdir=pathlib.Path(sys.argv[2])))\n"
        "print(json.dumps(hashlib.sha256(result.path.read_bytes()).hexdigest()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(sources["encoder"].path), str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "11"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    here = sha256(results["encoder"].path.read_bytes()).hexdigest()
    assert json.loads(done.stdout.splitlines()[-1]) == here


def test_nothing_of_this_machine_is_in_the_file(results: dict[str, Model]) -> None:
    content = results["encoder"].path.read_bytes()
    assert str(Path(__file__).parent).encode() not in content
    assert b"site-packages" not in content
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)


class Svd(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return torch.linalg.svd(x)[1]


class Clash(torch.nn.Module):  # type: ignore[misc, name-defined]
    """An output named as an op's result inside, one as an input, and one that is an input."""

    def forward(self, x: Any) -> Any:
        return {"relu": torch.relu(x).sum(1), "x": x, "mul": (x * 2).relu()}


class Branch(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))


class Spectrum(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Complex numbers inside, real ones outside."""

    def forward(self, x: Any) -> Any:
        return torch.fft.fft(x).abs()


class Complex(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return torch.fft.fft(x)


def exported(module: Any, path: Path) -> Model:
    batch = torch.export.Dim("batch", max=99)
    program = torch.export.export(module, (torch.ones(2, 4),), dynamic_shapes={"x": {0: batch}})
    torch.export.save(program, str(path))
    return describe(path, "torch")


@pytest.mark.parametrize("module", [Clash(), Branch(), Spectrum()], ids=lambda m: type(m).__name__)
def test_odd_ones(module: Any, tmp_path: Path) -> None:
    source = exported(module, tmp_path / "m.pt2")
    result = convert(source, tmp_path / "w")
    for sign in (1, -1):
        inputs = {"x": sign * np.arange(12, dtype=np.float32).reshape(3, 4)}
        expected, found = (open_runner(m).predict(inputs) for m in (source, result))
        assert list(found) == list(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5)


def test_an_op_without_a_translation_is_named(tmp_path: Path) -> None:
    source = exported(Svd(), tmp_path / "m.pt2")
    with pytest.raises(StepError, match=r"m\.pt2 at op 'aten\._linalg_svd'") as caught:
        convert(source, tmp_path / "w")
    assert "\n" not in caught.value.message
    assert list((tmp_path / "w").iterdir()) == []


def test_complex_outputs_are_refused(tmp_path: Path) -> None:
    source = exported(Complex(), tmp_path / "m.pt2")
    with pytest.raises(StepError, match="complex64") as caught:
        convert(source, tmp_path / "w")
    assert "\n" not in caught.value.message


def test_an_opset_that_it_does_not_write(sources: dict[str, Model], tmp_path: Path) -> None:
    """The exporter only logs that it kept its own opset."""
    with pytest.raises(StepError, match="opset 18 cannot become 13") as caught:
        convert(sources["cnn"], tmp_path / "w", opset=13)
    assert "convert.opset=14 to" in (caught.value.hint or "")


def test_a_lower_opset_where_it_can(sources: dict[str, Model], tmp_path: Path) -> None:
    result = convert(sources["lstm"], tmp_path / "w", opset=17)
    (opset,) = onnx.load(str(result.path)).opset_import
    assert opset.version == 17
    inputs = samples(sources["lstm"], 3, 0)
    expected, found = (open_runner(m).predict(inputs) for m in (sources["lstm"], result))
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=2e-6)
