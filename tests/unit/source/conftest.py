"""A distribution `runway-models` 1.2, installed in a site-packages folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.source import factory

PLAIN = """
from collections import Counter, OrderedDict

class Own(OrderedDict):
    pass

def make(size: int = 1) -> OrderedDict:
    return Own({n: n for n in range(size)})

def bare(size):
    return Own()

def lying() -> OrderedDict:
    return "text"

def wrong() -> dict:
    return {}

counted = Counter
value = Own()
"""
TORCH = """
from __future__ import annotations
import torch

class Regressor(torch.nn.Module):
    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        self.dense, self.head = torch.nn.Linear(3, hidden), torch.nn.Linear(hidden, 2)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        return {"score": self.head(self.drop(torch.relu(self.dense(x))))}

class Table(torch.nn.Module):
    '''An axis with a limit, and one that the model fixes.'''

    def __init__(self) -> None:
        super().__init__()
        self.rows = torch.nn.Parameter(torch.zeros(16, 4))

    def forward(self, x):
        return x + self.rows[: x.shape[1]]

class Branching(Regressor):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def make(hidden: int) -> torch.nn.Module:
    return Regressor(hidden)
"""
KERAS = """
import keras

def make(units: int) -> keras.Model:
    layers = [keras.Input((3,), name="x"), keras.layers.Dense(units), keras.layers.Dense(2)]
    return keras.Sequential(layers)

class Mine(keras.layers.Layer):
    def call(self, x):
        return x

def custom() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), Mine(), keras.layers.Dense(2)])
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The site-packages folder."""
    site = tmp_path / "site-packages"
    package, info = site / "runway_models", site / "runway_models-1.2.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    modules = {"__init__": "", "plain": PLAIN, "nets": TORCH, "keras_nets": KERAS}
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    (package / "unrecorded.py").write_text(PLAIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runway-models\nVersion: 1.2\n")
    record = "".join(f"runway_models/{name}.py,sha256=x,1\n" for name in modules)
    (info / "RECORD").write_text(record)
    monkeypatch.syspath_prepend(str(site))
    factory._locate.cache_clear()
    yield site
    factory._locate.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "runway_models"]:
        del sys.modules[name]
