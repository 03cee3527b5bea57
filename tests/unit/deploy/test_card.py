from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taxiway.deploy.card import model_card
from taxiway.model import Model, Signature, TensorSpec

FIGURES: dict[str, Any] = {
    "n": 500,
    "subjects": {
        "source": {"accuracy": 0.98, "latency_p95": 0.002, "format": "keras"},
        "result": {"accuracy": 0.976, "agreement": 0.99, "latency_p95": 0.001, "size": 2048},
    },
    "verdicts": [
        {"metric": "accuracy", "rule": "max_drop: 1 pt", "passed": True, "reason": "close"}
    ],
}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "m.tflite").write_bytes(bytes(1024))
    signature = Signature(
        inputs=(TensorSpec(name="x<script>", dtype="float32", shape=("batch", 4)),),
        outputs=(TensorSpec(name="a|b", dtype="int8", shape=(1, 3), scale=0.5, zero_point=-3),),
    )
    return Model(format="tflite", path=tmp_path / "m.tflite", signature=signature)


def test_figures_and_verdicts(model: Model) -> None:
    card = model_card("digits", model, {"scale": 2.0}, FIGURES, {"description": "Reads digits."})
    assert card.startswith("# digits\n\nReads digits.\n\nFormat: TFLite")
    assert "| accuracy | 98.00 % | 97.60 % |" in card
    assert "| agreement |  | 99.00 % |" in card
    assert "| latency_p95 | 2 ms | 1 ms |" in card
    assert "| size |  | 2.0 KiB |" in card
    assert "| accuracy | max_drop: 1 pt | passed | close |" in card
    assert "0.5 \\* (q - -3)" in card
    assert "500 samples" in card


def test_sections_without_content_are_left_out(model: Model) -> None:
    card = model_card("digits", model, {}, {}, {})
    assert not any(title in card for title in ("## Evaluation", "## Gates", "## Recipe"))


def test_names_stay_text(model: Model) -> None:
    steps = [{"name": "a\n# b", "plugin": "`c`", "options": {"d": "<img>|[e](f)"}}]
    card = model_card("n\n\n# <b>", model, {}, {}, {"steps": steps})
    lines = card.splitlines()
    assert [line for line in lines if line.startswith("# ")] == ["# n \\# \\<b\\>"]
    assert "| input | x\\<script\\> | float32 | batch, 4 |  |" in lines
    assert "a\\|b" in card
    assert '| a \\# b | \\`c\\` | {"d": "\\<img\\>\\|\\[e\\](f)"} |' in lines
