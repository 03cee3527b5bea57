"""A cache with damaged objects: each is seen, set aside and made again to the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import taxiway
from taxiway.execute.store import Store, verified

FULL = os.environ.get("TAXIWAY_FAULTS") == "full"
pytestmark = pytest.mark.slow


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[random.Random(file.name).randrange(len(content))] ^= 0x10
    file.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
    "emptied": lambda file: os.truncate(file, 0),
    "deleted": lambda file: file.unlink(),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "with a neighbour": lambda file: (
        next(p / "files" for p in file.parents if (p / "files").is_dir()) / "added"
    ).write_bytes(b"added"),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, onnx_recipe_files: Path) -> Path:
    """The store of an undisturbed run, and `artifact` beside it."""
    folder = tmp_path_factory.mktemp("clean")
    result = taxiway.load(onnx_recipe_files).run(output=folder / "runs", store=folder / "store")
    (folder / "artifact").write_text(str(result.artifact_digest))
    return folder


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("seed", range(8) if FULL else range(1))
def test_four_damaged_objects(
    kind: str, seed: int, clean: Path, onnx_recipe_files: Path, tmp_path: Path
) -> None:
    """A file of one entry after the other, so that six kinds damage 24 objects."""
    store = shutil.copytree(clean / "store", tmp_path / "store")
    chosen = random.Random(f"{kind} {seed}")
    entries = chosen.sample(sorted((store / "steps").glob("??/*")), 4)
    for entry in entries:
        files = sorted(file for file in entry.rglob("*") if file.is_file())
        DAMAGE[kind](chosen.choice(files))
        assert verified(entry) is None
    result = taxiway.load(onnx_recipe_files).run(output=tmp_path / "runs", store=store)
    assert {step.key for step in result.steps if not step.cached} == {e.name for e in entries}
    assert result.artifact_digest == (clean / "artifact").read_text()
    assert len(list((store / "quarantine").iterdir())) == 4
    for entry in entries:
        made = Store(store).get(entry.name)
        record = json.loads(
            (clean / "store/steps" / entry.name[:2] / entry.name / "record.json").read_bytes()
        )
        assert made is not None
        if record.get("model"):
            assert made.outputs == record["outputs"]


FULL_DISK = """
import resource, sys
from taxiway.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (0, "events.jsonl cannot be written: "),
        (500, "OSError: [Errno 27] File too large"),
        (4500, "OSError: [Errno 27] File too large"),
    ],
    ids=["the run folder's", "the source's", "the bundle's"],
)
def test_a_full_disk_is_said_in_one_line(
    limit: int, said: str, runs, onnx_recipe: Path, tmp_path: Path
) -> None:
    """A limit on the size of a file stands for the disk; the worker's part is its child."""
    script = tmp_path / "full.py"
    script.write_text(FULL_DISK)
    run = runs.start(onnx_recipe, program=(str(script), str(limit)))
    code, _, err = run.end()
    assert code == 1
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert said in err
    assert "free some space" in err
    assert runs.unfinished() == []
    published = runs.published()
    resumed, _ = runs.finish(onnx_recipe)
    assert set(resumed.finished(cached=True)) == published
