"""A model that lies elsewhere, from the recipe to the records."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import msgspec
import pytest
from served import Site, write_wheel

import taxiway
from taxiway.errors import PluginError, RecipeError
from taxiway.execute import events
from taxiway.execute.result import RunResult

CARD = b"---\nlicense: apache-2.0\n---\n"
RECIPE = """\
defaults: [base, {source: onnx}, {data: npz}, {deploy: onnxruntime_bundle}, _self_]
name: mine
source:
  path: PATH
data:
  path: blobs.npz
  inputs: x_test
  labels: y_test
deploy:
  golden_samples: 2
"""


@pytest.fixture
def folder(onnx_recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with blobs.onnx and blobs.npz; the user's store is beside it."""
    monkeypatch.setenv("TAXIWAY_STORE", str(tmp_path / "store"))
    return onnx_recipe.parent


@pytest.fixture
def model(folder: Path) -> bytes:
    return (folder / "blobs.onnx").read_bytes()


def recipe(folder: Path, path: str, **more: str) -> Path:
    rest = "".join(f"\n  {key}: {value}" for key, value in more.items())
    (folder / "mine.yaml").write_text(RECIPE.replace("PATH", path + rest))
    return folder / "mine.yaml"


def run(file: Path, *observers: events.Observer) -> RunResult:
    return taxiway.load(file).run(output=file.parent / "runs", observers=observers)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_url(folder: Path, model: bytes, site: Site) -> None:
    seen: list[events.Event] = []
    file = recipe(folder, site.give("/net.onnx", model), sha256=sha256(model))
    first = run(file, seen.append)
    assert first.artifact and first.artifact.read_bytes() == model
    far = [event for event in seen if isinstance(event, events.StepProgress)]
    assert (far[0].step, far[0].done, far[0].total, far[0].unit) == ("source", len(model), len(model), "B")  # fmt: skip
    site.answers.clear()
    assert all(step.cached for step in run(file).steps) and len(site.asked) == 1


def test_the_same_file_has_the_same_key_wherever_it_lies(
    folder: Path, model: bytes, site: Site
) -> None:
    here = taxiway.load(recipe(folder, "blobs.onnx")).plan().steps[0].key
    there = recipe(folder, site.give("/net.onnx", model), sha256=sha256(model), licence="MIT")
    assert taxiway.load(there).plan().steps[0].key == here
    assert site.asked == []


def test_a_lost_result_is_made_from_the_download(
    folder: Path, model: bytes, site: Site, tmp_path: Path
) -> None:
    file = recipe(folder, site.give("/net.onnx", model), sha256=sha256(model))
    run(file)
    (tmp_path / "store" / "steps").rename(tmp_path / "gone")
    run(file)
    assert len(site.asked) == 1


def test_a_wheel_with_pip_that_finds_nothing_any_more(
    folder: Path, model: bytes, index: Path, tmp_path: Path
) -> None:
    wheel = write_wheel(index, {"acme_net/net.onnx": model})
    path = "wheel://acme-net==1.0/acme_net/net.onnx"
    with pytest.raises(RecipeError) as caught:
        taxiway.load(recipe(folder, path)).plan()
    (problem,) = caught.value.problems
    assert (problem.line, caught.value.exit_code) == (4, 2)
    pin = sha256(wheel.read_bytes())
    assert str(problem.hint).endswith(f"\n    sha256: {pin}")
    wheel.unlink()
    # What was fetched to print the pin is what the run takes.
    first = run(recipe(folder, path, sha256=pin))
    assert first.artifact and first.artifact.read_bytes() == model and first.licence == "MIT"
    assert all(step.cached for step in run(folder / "mine.yaml").steps)
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_a_pin_cannot_be_computed(folder: Path, site: Site) -> None:
    with pytest.raises(RecipeError) as caught:
        taxiway.load(recipe(folder, f"{site.url}/net.onnx")).plan()
    (problem,) = caught.value.problems
    assert "answers 404" in problem.message and "sha256: <64 hex digits>" in str(problem.hint)


def test_a_library_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    file = recipe(folder, "gs://bucket/net.onnx", sha256="ab" * 32)
    with pytest.raises(PluginError) as caught:
        run(file)
    assert caught.value.hint == "pip install 'taxiway[gcs]'"
    events_log = next((folder / "runs").rglob("events.jsonl")).read_text()
    assert '"event":"stepfailed"' in events_log


@pytest.fixture
def installed(tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with the model inside."""
    site_packages = tmp_path / "site"
    (site_packages / "acme_net").mkdir(parents=True)
    (site_packages / "acme_net" / "net.onnx").write_bytes(model)
    info = site_packages / "acme_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-net\nVersion: 1.0\nLicense: MIT\n"
    )
    (info / "RECORD").write_text("acme_net/net.onnx,,\nacme_net-1.0.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(str(site_packages))
    return site_packages


def test_an_installed_package(folder: Path, model: bytes, installed: Path) -> None:
    done = run(recipe(folder, "pkg://acme-net/acme_net/net.onnx"))
    assert done.artifact and done.artifact.read_bytes() == model and done.licence == "MIT"
    before = taxiway.load(folder / "mine.yaml").plan().steps[0].key
    (installed / "acme_net" / "net.onnx").write_bytes(model + b"\0")
    assert taxiway.load(folder / "mine.yaml").plan().steps[0].key != before


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("pkg://acme-net/net.onnx", "has no 'net.onnx'", "acme_net/net.onnx"),
        ("pkg://acme-nte/net.onnx", "is not installed", "acme-net"),
    ],
)
def test_no_such_package_file(
    folder: Path, installed: Path, path: str, message: str, hint: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        taxiway.load(recipe(folder, path))
    (problem,) = caught.value.problems
    assert problem.line == 4 and hint in str(problem.hint)


@pytest.mark.parametrize(
    ("chosen", "expected"), [({}, "MIT"), ({"licence": "Apache-2.0 OR MIT"}, "Apache-2.0 OR MIT")]
)
def test_the_licence_is_in_all_records(
    folder: Path, installed: Path, chosen: dict[str, str], expected: str
) -> None:
    done = run(recipe(folder, "pkg://acme-net/acme_net/net.onnx", **chosen))
    report = json.loads((done.folder / "report.json").read_text())
    lock = json.loads((done.folder / "mine.lock").read_text())
    assert done.bundle
    card = (done.bundle / "MODEL_CARD.md").read_text()
    assert report["licence"] == expected
    assert f"Licence of the model it was made from: {expected}." in card
    found = {"text": "MIT", "origin": "metadata of acme-net"}
    assert lock["steps"]["source"]["licence"] == found
    assert lock["recipe"]["source"].get("licence") == chosen.get("licence")
    assert msgspec.json.decode((done.folder / "report.json").read_bytes())["status"] == "no gates"


def test_without_a_licence_nothing_is_said(folder: Path) -> None:
    done = run(recipe(folder, "blobs.onnx"))
    assert done.licence is None and done.bundle
    assert "Licence" not in (done.bundle / "MODEL_CARD.md").read_text()
