"""A fallback that is killed in its search goes on from what it measured, to the same bytes."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

pytestmark = pytest.mark.slow
STEP = "optimize.quantize_static"
FALLBACK = f"{STEP}.fallback={{max_drop: 0.5 pt, subset: 32}}"


@pytest.fixture
def faulty_recipe(onnx_recipe: Path) -> Path:
    """The blobs, with one dimension that is wide between two layers; its float result is the same."""
    path = onnx_recipe.with_name("blobs.onnx")
    proto = onnx.load(path)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    hidden, centers = (numpy_helper.to_array(weights[n]).copy() for n in ("hidden", "centers"))
    hidden[:, 0] *= 3000
    centers[0] /= 3000
    for name, values in (("hidden", hidden), ("centers", centers)):
        weights[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    onnx.save(proto, path)
    return onnx_recipe


def test_killed_in_the_search_it_goes_on(
    faulty_recipe: Path, runs, new_runs, tmp_path: Path
) -> None:
    clean = new_runs(tmp_path / "clean")
    _, expected = clean.finish(faulty_recipe, FALLBACK)
    facts = expected["told"][STEP]["fallback"]
    assert facts["restored"] and facts["kept"] and facts["resumed"] == 0

    killed = runs.start(faulty_recipe, FALLBACK)
    journal = None
    while killed.process.poll() is None and not journal:
        found = list(runs.store.glob("checkpoints/*/fallback.jsonl"))
        journal = next((path for path in found if path.read_bytes().count(b"\n") >= 2), None)
        time.sleep(0.002)
    assert journal, "the run ended before its search began"
    killed.signal(signal.SIGKILL)
    killed.end()
    lines = journal.read_bytes().count(b"\n")
    assert lines < facts["candidates"]

    _, report = runs.finish(faulty_recipe, FALLBACK)
    resumed = report["told"][STEP]["fallback"]
    assert resumed["resumed"] >= lines
    assert report["artifact_digest"] == expected["artifact_digest"]
    assert runs.models() == clean.models()
    assert not list(runs.store.glob("checkpoints/*/*"))
    timed = ("summary", "latency_p50", "seconds", "resumed")
    assert json.dumps({**facts, **dict.fromkeys(timed)}) == json.dumps(
        {**resumed, **dict.fromkeys(timed)}
    )
