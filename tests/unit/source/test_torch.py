"""PyTorch models: programs, and weights with the code that builds the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.errors import SafetyError, StepError, TaxiwayError
from taxiway.model import Model
from taxiway.model.runners import open_runner
from taxiway.plugins import Context
from taxiway.source.torch import Torch

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.slow
NET = "runway_models.nets:Regressor"
INPUTS = [{"name": "x", "shape": ["batch", 3]}]


def bring_in(path: Path, workdir: Path, **options: Any) -> Model:
    workdir.mkdir()
    config = msgspec.convert({"type": "torch", "path": str(path), **options}, Torch.Config)
    return Torch().run(config, Context(workdir=workdir))


@pytest.fixture
def net(installed: Path) -> Any:
    from runway_models import nets  # type: ignore[import-not-found]

    torch.manual_seed(0)
    return nets.Regressor().eval()


def safetensors(net: Any, path: Path) -> None:
    library = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    library.save_file(net.state_dict(), str(path))


def checkpoint(net: Any, path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": net.state_dict(), "note": "x"}, path)


def legacy(net: Any, path: Path) -> None:
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)


SAVED: dict[str, Callable[[Any, Path], None]] = {
    "state_dict.pth": lambda net, path: torch.save(net.state_dict(), path),
    "old.bin": legacy,
    "checkpoint.pt": checkpoint,
    "weights.safetensors": safetensors,
}


@pytest.mark.parametrize(("name", "save"), SAVED.items(), ids=SAVED)
def test_weights(net: Any, tmp_path: Path, name: str, save: Callable[[Any, Path], None]) -> None:
    """Any kind of file gives the same program: dropout off, names kept, the batch free."""
    save(net, tmp_path / name)
    made = [
        bring_in(tmp_path / name, tmp_path / f"w{n}", factory=NET, inputs=INPUTS) for n in range(2)
    ]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    assert str(made[0].signature.inputs[0]) == "x: float32[batch, 3]"
    assert str(made[0].signature.outputs[0]) == "score: float32[batch, 2]"
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x))["score"].numpy()
    runner = open_runner(made[0])
    for count in (1, 5):
        np.testing.assert_allclose(
            runner.predict({"x": x[:count]})["score"], expected[:count], atol=1e-6
        )


def test_arguments_and_a_function(installed: Path, tmp_path: Path) -> None:
    from runway_models import nets

    torch.save(nets.Regressor(hidden=7).state_dict(), tmp_path / "w.pth")
    options = {"factory": "runway_models.nets:make", "inputs": INPUTS}
    bring_in(tmp_path / "w.pth", tmp_path / "good", arguments={"hidden": 7}, **options)
    with pytest.raises(StepError, match=r"do not fit 'runway_models.nets:make': .*size mismatch"):
        bring_in(tmp_path / "w.pth", tmp_path / "bad", arguments={"hidden": 8}, **options)


def test_an_axis_with_a_limit(installed: Path, tmp_path: Path) -> None:
    from runway_models import nets

    torch.save(nets.Table().state_dict(), tmp_path / "w.pth")
    inputs = [{"name": "x", "shape": ["batch", "sequence", 4]}]
    model = bring_in(
        tmp_path / "w.pth", tmp_path / "w", factory="runway_models.nets:Table", inputs=inputs
    )
    assert model.signature.outputs[0].shape == ("batch", "sequence", 4)
    found = open_runner(model).predict({"x": np.ones((2, 16, 4), np.float32)})
    assert found["output"].shape == (2, 16, 4)
    with pytest.raises(TaxiwayError):
        open_runner(model).predict({"x": np.ones((2, 17, 4), np.float32)})


def test_control_flow_that_depends_on_data(net: Any, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pth")
    with pytest.raises(StepError, match=r"torch\.export cannot take Branching: \S.*"):
        bring_in(
            tmp_path / "w.pth",
            tmp_path / "w",
            factory="runway_models.nets:Branching",
            inputs=INPUTS,
        )
    assert list((tmp_path / "w").iterdir()) == []


def whole_module(net: Any, path: Path) -> None:
    torch.save(net, path)


def torchscript(net: Any, path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3)), str(path))


BAD: dict[str, tuple[Callable[[Any, Path], Any], type[TaxiwayError], str]] = {
    "module": (whole_module, SafetyError, "would import 'runway_models.nets.Regressor'"),
    "torchscript": (torchscript, SafetyError, "TorchScript"),
    "empty": (lambda net, path: path.write_bytes(b""), StepError, "is empty"),
    "text": (lambda net, path: path.write_text("hello"), StepError, "neither a PyTorch state dict"),
    "truncated": (
        lambda net, path: (
            torch.save(net.state_dict(), path),
            path.write_bytes(path.read_bytes()[:300]),
        ),
        SafetyError,
        "is refused",
    ),
    "no-tensors": (lambda net, path: torch.save({"a": 1}, path), StepError, "hold no tensors"),
    "a-tensor": (lambda net, path: torch.save(torch.ones(2), path), StepError, "holds a Tensor"),
}


@pytest.mark.parametrize(("save", "kind", "said"), BAD.values(), ids=BAD)
def test_bad_weights(
    net: Any, tmp_path: Path, save: Callable[..., Any], kind: type[TaxiwayError], said: str
) -> None:
    save(net, tmp_path / "w.pth")
    with pytest.raises(kind) as caught:
        bring_in(tmp_path / "w.pth", tmp_path / "w", factory=NET, inputs=INPUTS)
    assert said in caught.value.message
    assert list((tmp_path / "w").iterdir()) == []


@pytest.mark.parametrize(
    ("save", "hint"),
    [(whole_module, "source.factory"), (torchscript, "torch.export.save")],
    ids=["module", "torchscript"],
)
def test_no_program(net: Any, tmp_path: Path, save: Callable[..., Any], hint: str) -> None:
    save(net, tmp_path / "m.pt2")
    with pytest.raises(SafetyError, match="PyTorch archive with a pickle") as caught:
        bring_in(tmp_path / "m.pt2", tmp_path / "w")
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("keep", [0.2, 0.9])
def test_truncated_program(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(1, 3),)), str(path))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(StepError, match="damaged zip archive"):
        bring_in(path, tmp_path / "w")


class Nested(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Inputs in a dict and by keyword; results in a tuple, a dict and a list, one of them None."""

    def forward(self, pair: Any, *, scale: Any) -> Any:
        x = pair["left"] * scale + pair["right"]
        return x, {"mean": x.mean(1), "parts": [x + 1, None]}


def test_names(tmp_path: Path) -> None:
    pair = {"left": torch.ones(2, 3), "right": torch.zeros(2, 3)}
    batch = torch.export.Dim("batch", max=99)
    shapes = {"pair": {"left": {0: batch}, "right": {0: batch}}, "scale": {}}
    program = torch.export.export(
        Nested(), (pair,), kwargs={"scale": torch.ones(1)}, dynamic_shapes=shapes
    )
    torch.export.save(program, str(tmp_path / "m.pt2"))
    model = bring_in(tmp_path / "m.pt2", tmp_path / "w")
    names = [spec.name for spec in model.signature.outputs]
    assert names == ["output_0", "output_1_mean", "output_1_parts_0"]
    inputs = {spec.name: np.full((4, 3), 2, np.float32) for spec in model.signature.inputs[:2]}
    inputs[model.signature.inputs[2].name] = np.full(1, 3, np.float32)
    found = open_runner(model).predict(inputs)
    np.testing.assert_allclose(found["output_1_parts_0"], np.full((4, 3), 9))


WRONG = {
    "no-inputs": ({"factory": NET}, "`factory` needs `inputs`"),
    "no-factory": ({"inputs": INPUTS}, "belong to a `factory`"),
    "twice": ({"factory": NET, "inputs": INPUTS * 2}, "names one input twice"),
    "zero": ({"factory": NET, "inputs": [{"name": "x", "shape": [0]}]}, "at least 1"),
    "axis": ({"factory": NET, "inputs": [{"name": "x", "shape": ["a b"]}]}, "an identifier"),
    "dtype": ({"factory": NET, "inputs": [{"name": "x", "shape": [1], "dtype": "str"}]}, "dtype"),
}


@pytest.mark.parametrize(("options", "said"), WRONG.values(), ids=WRONG)
def test_wrong_options(options: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert({"type": "torch", "path": "w", **options}, Torch.Config)
