"""Keras weights, loaded into a model that installed code builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest

from taxiway.errors import SafetyError, StepError, TaxiwayError
from taxiway.model import Model
from taxiway.model.runners import open_runner
from taxiway.plugins import Context
from taxiway.source.keras import Keras

pytestmark = pytest.mark.slow
MAKE = "runway_models.keras_nets:make"


def bring_in(path: Path, workdir: Path, **options: Any) -> Model:
    workdir.mkdir()
    config = msgspec.convert({"type": "keras", "path": str(path), **options}, Keras.Config)
    return Keras().run(config, Context(workdir=workdir))


@pytest.mark.parametrize(
    ("library", "name"), [("keras", "m.weights.h5"), ("tf_keras", "m.h5")], ids=["keras", "legacy"]
)
def test_weights(installed: Path, tmp_path: Path, library: str, name: str) -> None:
    keras: Any = pytest.importorskip(library)
    layers = [keras.Input((3,), name="x"), keras.layers.Dense(4), keras.layers.Dense(2)]
    original = keras.Sequential(layers)
    original.save_weights(str(tmp_path / name))
    made = [
        bring_in(tmp_path / name, tmp_path / f"w{n}", factory=MAKE, arguments={"units": 4})
        for n in range(2)
    ]
    assert [file.name for file in made[0].path.parent.iterdir()] == ["model.keras"]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    (found,) = open_runner(made[0]).predict({"x": x}).values()
    np.testing.assert_allclose(found, np.asarray(original(x)), atol=1e-6)
    with pytest.raises(StepError, match=f"do not fit '{MAKE}'"):
        bring_in(tmp_path / name, tmp_path / "bad", factory=MAKE, arguments={"units": 5})
    with pytest.raises(SafetyError, match=r"weights alone.*source\.factory=package"):
        bring_in(tmp_path / name, tmp_path / "alone")


def test_layers_of_its_own(installed: Path, tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "m.weights.h5"
    )
    with pytest.raises(TaxiwayError) as caught:
        bring_in(
            tmp_path / "m.weights.h5",
            tmp_path / "w",
            factory="runway_models.keras_nets:custom",
        )
    assert "more than Keras's own layers" in caught.value.message
    assert "source=saved_model" in str(caught.value.hint)


def link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/x")


@pytest.mark.parametrize(
    ("write", "kind", "said"),
    [
        (link, SafetyError, "external link"),
        (lambda path: path.write_bytes(b""), StepError, "no HDF5 file"),
        (lambda path: path.write_text("text"), StepError, "no HDF5 file"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\nxx"), SafetyError, "no readable HDF5"),
    ],
    ids=["link", "empty", "text", "truncated"],
)
def test_bad_weights(
    installed: Path, tmp_path: Path, write: Any, kind: type[TaxiwayError], said: str
) -> None:
    write(tmp_path / "m.weights.h5")
    with pytest.raises(kind, match=said):
        bring_in(tmp_path / "m.weights.h5", tmp_path / "w", factory=MAKE, arguments={"units": 4})
