"""What a step notes is in the worker's answer, which becomes its record."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taxiway.execute import worker_main
from taxiway.model import Model, Signature
from taxiway.plugins import Config, Context, Note, Source


class Noting(Source):
    Config = Config

    def run(self, options: Any, context: Context) -> Model:
        context.note(Note(repair="erfc", count=2, about="It is rewritten."))
        context.note(Note(repair="scalar_input", count=1, about="It gets an axis."))
        path = context.workdir / "model.onnx"
        path.touch()
        return Model(format="onnx", path=path, signature=Signature(inputs=(), outputs=()))


def test_notes_are_in_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = SimpleNamespace(implementation=lambda format: Noting(), step=Noting)
    registry = SimpleNamespace(get=lambda section, name: plugin)
    monkeypatch.setattr(worker_main, "registry", lambda: registry)
    task = {
        "name": "source",
        "section": "source",
        "plugin": "noting",
        "takes": None,
        "options": {},
        "workdir": str(tmp_path),
        "seed": 0,
    }
    answer = worker_main.perform(task, lambda done, total, unit: None)
    assert answer["notes"] == [
        {"repair": "erfc", "count": 2, "about": "It is rewritten."},
        {"repair": "scalar_input", "count": 1, "about": "It gets an axis."},
    ]


def test_a_context_without_a_listener_takes_notes(tmp_path: Path) -> None:
    Noting().run(Config(), Context(workdir=tmp_path))
