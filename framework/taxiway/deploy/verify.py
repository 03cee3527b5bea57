"""Verifies a bundle: its files are those of the manifest, and it runs without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from taxiway.deploy.manifest import check_files
from taxiway.errors import SafetyError, StepError

EXAMPLE = "run.py"
TIMEOUT = 300.0
"""Seconds; long enough for the golden samples of a large model."""


def example_source() -> bytes:
    """The program that every bundle carries as run.py."""
    return files("taxiway.deploy.examples").joinpath(EXAMPLE).read_bytes()


def verify(bundle: Path) -> dict[str, Any]:
    """Check every digest, run the example on the golden samples, and return the manifest.

    The example runs in a fresh process that cannot import TensorFlow, Keras, PyTorch or Taxiway.
    Raises SafetyError where a file differs from the manifest or the example is not Taxiway's own,
    which is then not run; StepError where the model does not give its golden outputs.
    """
    bundle = bundle.resolve()
    manifest = check_files(bundle)
    if (bundle / EXAMPLE).read_bytes() != example_source():
        raise SafetyError(
            f"{EXAMPLE} in the bundle is not the one of this version of Taxiway, and was not run",
            f"the bundle says it was made by Taxiway {manifest.get('taxiway', '(unknown)')}",
        )
    runner = Path(__file__).with_name("isolated.py")
    command = [sys.executable, "-I", "-B", str(runner), str(bundle / EXAMPLE)]
    try:
        done = subprocess.run(
            command, cwd=bundle, env={}, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise StepError(f"the bundle's example did not end within {TIMEOUT:g} s") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise StepError(f"the bundle does not give its golden outputs:\n{said}")
    return manifest
