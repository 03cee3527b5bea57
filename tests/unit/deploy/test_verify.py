from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from taxiway.deploy import isolated
from taxiway.deploy.manifest import check_files, write_manifest
from taxiway.deploy.verify import verify
from taxiway.errors import SafetyError, StepError


def reseal(bundle: Path) -> None:
    """What an attacker can do: a manifest that fits the changed files."""
    (bundle / "manifest.json").unlink()
    write_manifest(bundle, {"name": "tiny", "format": "onnx", "taxiway": "0.0.1"})


def test_a_good_bundle_is_left_as_it_was(bundle: Path) -> None:
    before = sorted(path.name for path in bundle.iterdir())
    assert verify(bundle) == check_files(bundle)
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_every_file_is_guarded(bundle: Path) -> None:
    for path in sorted(bundle.iterdir()):
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(SafetyError):
            verify(bundle)
        path.write_bytes(good)
    verify(bundle)


def test_a_foreign_example_is_not_run(bundle: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (bundle / "run.py").write_text(f"open({str(marker)!r}, 'w')")
    reseal(bundle)
    with pytest.raises(SafetyError, match="was not run") as caught:
        verify(bundle)
    assert "0.0.1" in str(caught.value.hint)
    assert not marker.exists()


def test_wrong_golden_outputs(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as found:
        golden = dict(found)
    golden["output_0"] = golden["output_0"][::-1]
    np.savez(bundle / "golden.npz", **golden)
    reseal(bundle)
    with pytest.raises(StepError, match="MORE than the allowed"):
        verify(bundle)


def test_a_model_that_does_not_load(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"no model")
    reseal(bundle)
    with pytest.raises(StepError, match="golden outputs"):
        verify(bundle)


@pytest.mark.parametrize("module", isolated.BLOCKED)
def test_training_frameworks_cannot_be_imported(tmp_path: Path, module: str) -> None:
    script = tmp_path / "run.py"
    script.write_text(f"import {module}")
    command = [sys.executable, "-I", isolated.__file__, str(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"import of {module} halted" in done.stderr


def test_a_framework_that_came_in_all_the_same_is_told(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text("import sys, types; sys.modules['tensorflow'] = types.ModuleType('t')")
    command = [sys.executable, "-I", isolated.__file__, str(script)]
    assert subprocess.run(command, capture_output=True).returncode == 3
