"""S19: a value from the environment is used, and written and printed nowhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import taxiway
from taxiway.errors import TaxiwayError

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
NAME = "AWS_SECRET_ACCESS_KEY"
REFERENCE = f"${{oc.env:{NAME}}}"
SECRETS = {
    "plain": "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY",
    "quoted": 'wJalr"XUtn\\FEMI',
    "lines": "-----BEGIN\nMIIEpAIBAAKCAQEA\n-----END",
    "unicode": "schlüssel-日本-geheim",
}


def everywhere(secret: str) -> set[bytes]:
    """The secret as it is, and as encoders write it."""
    return {
        secret.encode(),
        json.dumps(secret)[1:-1].encode(),
        json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        repr(secret)[1:-1].encode(),
    }


def assert_absent(secret: str, *texts: str, under: Path | None = None) -> None:
    files = [path for path in under.rglob("*") if path.is_file()] if under else []
    assert under is None or files
    for form in everywhere(secret):
        for text in texts:
            assert form not in text.encode(), text
        for file in files:
            assert form not in file.read_bytes(), file
            assert form not in str(file).encode()


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.slow
def test_a_whole_run(folder: Path, cli: Cli, tmp_path: Path, secret: str) -> None:
    hidden = folder / secret
    hidden.mkdir(parents=True)
    for name in ("model.onnx", "digits.npz"):
        (folder / name).rename(hidden / name)
    recipe = folder / "mine.yaml"
    text = recipe.read_text().replace("A recipe to spoil.", f"'made with {REFERENCE}'")
    for name in ("model.onnx", "digits.npz"):
        text = text.replace(f"path: {name}", f"path: '${{oc.env:NOT_SET,{REFERENCE}}}/{name}'")
    recipe.write_text(text)
    commands = (
        ["run", "mine.yaml", "--output", "out", "--lock"],
        ["run", "mine.yaml", "--output", "out", "--json", "--locked"],
        ["show", "mine.yaml"],
        ["show", "mine.yaml", "--origin", "--json"],
        ["plan", "mine.yaml", "seed=3"],
        ["plan", "mine.yaml", "--json"],
        ["diff", "mine.yaml", "mine.yaml", "--json"],
    )
    for words in commands:
        done = cli(*words, **{NAME: secret})
        assert done.returncode == 0, done.stderr
        assert_absent(secret, done.stdout, done.stderr)
    assert REFERENCE in (folder / "mine.lock").read_text()
    assert (next((folder / "out" / "mine").iterdir()) / "bundle").is_dir()
    assert_absent(secret, under=folder / "out")
    assert_absent(secret, under=tmp_path / "store")
    assert_absent(secret, (folder / "mine.lock").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"\x08\x07:\x10broken", b"not a model at all"])
def test_a_step_that_fails(folder: Path, cli: Cli, tmp_path: Path, damage: bytes) -> None:
    secret = SECRETS["plain"]
    (folder / secret).mkdir()
    (folder / secret / f"{secret}.onnx").write_bytes(damage)
    recipe = folder / "mine.yaml"
    path = f"path: ${{oc.env:{NAME}}}/${{oc.env:{NAME}}}.onnx"
    recipe.write_text(recipe.read_text().replace("path: model.onnx", path))
    for words in (["run", "mine.yaml"], ["run", "mine.yaml", "--json"]):
        done = cli(*words, **{NAME: secret})
        assert done.returncode in (1, 2, 5) and "Traceback" not in done.stderr
        assert_absent(secret, done.stdout, done.stderr)
    assert_absent(secret, under=folder / "runs")


MESSAGES = {
    "path": ("path: model.onnx", f"path: {REFERENCE}/model.onnx"),
    "nested interpolation": ("A recipe to spoil.", f"${{data.{REFERENCE}}}"),
    "resolver name": ("A recipe to spoil.", f"${{{REFERENCE}:1}}"),
    "variable name": ("A recipe to spoil.", f"${{oc.env:{REFERENCE}}}"),
    "number": ("scale: 0.0625", f"scale: ${{oc.decode:'[{REFERENCE}'}}"),
    "enum": ("scale: 0.0625", f"dtype: {REFERENCE}"),
    "array": ("inputs: x_test", f"inputs: {REFERENCE}"),
    "split": ("evaluate:\n", f"evaluate:\n  split: {REFERENCE}\n"),
    "gate": ("size: {max: 2 MiB}", f"size: {{max: '{REFERENCE}'}}"),
    "defaults": ("source: onnx", f"source: {REFERENCE}"),
    "plugin": ("source:\n  path", f"source:\n  type: {REFERENCE}\n  path"),
    "name": ("name: mine", f"name: {REFERENCE}"),
    "limit": ("name: mine\n", f"name: mine\nlimits: {{time: '{REFERENCE}'}}\n"),
}


@pytest.mark.parametrize(("old", "new"), MESSAGES.values(), ids=MESSAGES)
def test_messages(folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    secret = "AKIAIOSFODNN7EXAMPLE"
    monkeypatch.setenv(NAME, secret)
    recipe = folder / "mine.yaml"
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new, 1))
    with pytest.raises(TaxiwayError) as caught:
        taxiway.load(recipe).plan()
    assert_absent(secret, caught.value.render(), json.dumps(caught.value.to_dict()))


def test_a_name_is_written_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "harmless")
    recipe = folder / "mine.yaml"
    recipe.write_text(recipe.read_text().replace("name: mine", f"name: {REFERENCE}"))
    with pytest.raises(TaxiwayError, match="name comes from the environment"):
        taxiway.load(recipe)


def test_a_number_equal_to_a_value_spoils_no_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "1797")
    recipe = folder / "mine.yaml"
    text = recipe.read_text().replace("name: mine", f"name: mine\nseed: ${{oc.decode:{REFERENCE}}}")
    recipe.write_text(text)
    loaded = taxiway.load(recipe)
    assert loaded.composed.common.seed == 1797
    assert loaded.composed.public["seed"] == REFERENCE
    assert loaded.composed.redacted({"samples": 1797, "n": "1797"}) == {
        "samples": 1797,
        "n": REFERENCE,
    }
