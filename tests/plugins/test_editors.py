"""What an editor offers in a recipe: the real yaml-language-server over the shipped schema."""

from __future__ import annotations

import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taxiway.compose.assets import shipped_recipes

ROOT = Path(__file__).parents[2]
VERSION = "1.25.0"
DEADLINE = 60.0
HEAD = """\
# yaml-language-server: $schema=../schemas/recipe.schema.json
defaults:
  - base
  - source: keras
  - optimize: [quantize_static]
  - _self_
name: edited
"""


class Server:
    """A client of the Language Server Protocol over the server's standard input and output."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._ids = itertools.count(1)
        self._buffer = b""
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        self.request("initialize", processId=None, rootUri=None, capabilities={})
        self._send({"method": "initialized", "params": {}})

    def open(self, path: Path, text: str) -> str:
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def diagnostics(self, uri: str) -> list[dict[str, Any]]:
        while uri not in self._diagnostics:
            self._receive()
        return self._diagnostics.pop(uri)

    def request(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The next message; a request of the server is answered, diagnostics are kept."""
        head, _, rest = self._read_until(lambda data: b"\r\n\r\n" in data).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self._buffer = rest
        body = self._read_until(lambda data: len(data) >= length)
        self._buffer = body[length:]
        message: dict[str, Any] = json.loads(body[:length])
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            items = message["params"].get("items", []) if message.get("params") else []
            self._send({"id": message["id"], "result": [None for _ in items]})
        return message

    def _read_until(self, enough: Any) -> bytes:
        assert self._process.stdout is not None
        stream, started = self._process.stdout.fileno(), time.monotonic()
        while not enough(self._buffer):
            ready, _, _ = select.select([stream], [], [], DEADLINE)
            chunk = os.read(stream, 1 << 16) if ready else b""
            assert chunk and time.monotonic() - started < DEADLINE, "the server gave no answer"
            self._buffer += chunk
        return self._buffer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Installed by npm into TAXIWAY_NODE_MODULES, or a temporary folder; skips where that fails."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    where = os.environ.get("TAXIWAY_NODE_MODULES")
    folder = Path(where) if where else tmp_path_factory.mktemp("npm")
    binary = folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    if not binary.is_file():
        words = ["install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        package = f"yaml-language-server@{VERSION}"
        done = subprocess.run([npm, *words, package], capture_output=True, text=True, timeout=300)
        if not binary.is_file():
            pytest.skip(f"npm cannot install {package}: {done.stderr.strip()[-200:]}")
    running = Server([node, str(binary), "--stdio"])
    yield running
    running.close()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe's path beside the schemas, as in the repository."""
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes" / "edited.yaml"


def cursor(text: str) -> tuple[str, dict[str, int]]:
    """The text without its `|`, and the place where that stood."""
    before, _, after = text.partition("|")
    lines = before.split("\n")
    return before + after, {"line": len(lines) - 1, "character": len(lines[-1])}


def completions(server: Server, recipe: Path, text: str) -> set[str]:
    body, position = cursor(HEAD + text)
    uri = server.open(recipe, body)
    found = server.request("textDocument/completion", textDocument={"uri": uri}, position=position)
    return {item["label"] for item in (found["items"] if isinstance(found, dict) else found)}


COMPLETIONS = {
    "sections": ("|", {"source", "data", "convert", "optimize", "evaluate", "deploy", "limits", "seed"}),
    "options of the source": ("source:\n  |", {"path"}),
    "passes": ("optimize:\n  |", {"quantize_static", "quantize_dynamic", "float16"}),
    "nested options": (
        "optimize:\n  quantize_static:\n    calibration:\n      |",
        {"samples", "method"},
    ),
    "an enum": (
        "optimize:\n  quantize_static:\n    calibration:\n      method: |",
        {"minmax", "entropy", "percentile"},
    ),
    "an enum with null": (
        "optimize:\n  quantize_static:\n    io_dtype: |",
        {"int8", "float32", "null"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), COMPLETIONS.values(), ids=COMPLETIONS)
def test_completion(server: Server, recipe: Path, text: str, expected: set[str]) -> None:
    assert expected <= completions(server, recipe, text)


def test_options_follow_the_defaults_list(server: Server, recipe: Path) -> None:
    text = HEAD.replace("source: keras", "source: saved_model")
    body, position = cursor(text + "source:\n  |")
    uri = server.open(recipe, body)
    found = server.request("textDocument/completion", textDocument={"uri": uri}, position=position)
    assert {"path", "signature"} <= {item["label"] for item in found["items"]}
    assert "signature" not in completions(server, recipe, "source:\n  |")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("see|d: 3\n", "Seed of everything that is random."),
        ("source:\n  pa|th: m.keras\n", "The .keras or .h5 file; with `factory` the weights."),
        ("optimize:\n  quantize_static:\n    calibration:\n      sam|ples: 3\n", "calibration split"),
    ],
    ids=["seed", "path", "samples"],
)  # fmt: skip
def test_hover_is_the_description(server: Server, recipe: Path, text: str, said: str) -> None:
    body, position = cursor(HEAD + text)
    uri = server.open(recipe, body)
    found = server.request("textDocument/hover", textDocument={"uri": uri}, position=position)
    assert found and said in json.dumps(found["contents"])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("sed: 3\n", 7, "sed"),
        ("source:\n  pth: m.keras\n", 8, "pth"),
        ("optimize:\n  quantize_static:\n    calibration:\n      samples: many\n", 10, "integer"),
        ("optimize:\n  quantize_static:\n    calibration:\n      method: minmaxx\n", 10, "minmax"),
        ("evaluate: 3\n", 7, "object"),
    ],
    ids=["section", "option", "type", "enum", "mapping"],
)
def test_diagnostics(server: Server, recipe: Path, text: str, line: int, said: str) -> None:
    found = server.diagnostics(server.open(recipe, HEAD + text))
    assert found, "no diagnostics"
    assert {problem["range"]["start"]["line"] for problem in found} == {line}
    assert any(said in problem["message"] for problem in found), found


def test_no_diagnostics_in_a_good_recipe(server: Server, recipe: Path) -> None:
    text = "source:\n  path: ${oc.env:DIR}/m.keras\nseed: ${oc.decode:'3'}\n"
    assert server.diagnostics(server.open(recipe, HEAD + text)) == []


@pytest.mark.parametrize("name", shipped_recipes())
def test_no_diagnostics_in_shipped_recipes(server: Server, name: str) -> None:
    path = ROOT / "recipes" / f"{name}.yaml"
    text = path.read_text()
    assert server.diagnostics(server.open(path, text)) == []
    spoiled = text.replace("\nname:", "\nnmae:", 1)
    assert server.diagnostics(server.open(path.with_stem("spoiled"), spoiled)), (
        "the schema was not found"
    )


@pytest.mark.slow
def test_a_recipe_of_init_finds_its_schema(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taxiway.cli.main import main

    shutil.copyfile(ROOT / "recipes" / "models" / "digits.keras", tmp_path / "digits.keras")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "digits.keras"]) == 0
    written = tmp_path / "digits.yaml"
    text = written.read_text()
    assert server.diagnostics(server.open(written, text)) == []
    assert server.diagnostics(server.open(written.with_stem("spoiled"), text + "nmae: 3\n"))
