"""A web server on this machine, wheels in a folder that pip looks into, and a transfer that tells how far it is."""

from __future__ import annotations

import http.server
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from taxiway.fetch.location import LOCALHOST
from taxiway.fetch.stream import Transfer

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Site:
    """Paths and what answers them. asked: every request's path, in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.headers.append(dict(self.headers))
                self.close_connection = True
                answer = site.answers.get(self.path.partition("?")[0])
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                return None

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def give(self, path: str, body: bytes, **headers: str) -> str:
        """Answer `path` with the body; a header of that name replaces the usual one. Gives the URL."""
        given = {
            "Content-Length": str(len(body)),
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            for name, value in given.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return self.url + path

    def send_on(self, path: str, target: str, code: int = 302) -> str:
        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            handler.send_header("Location", target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer
        return self.url + path


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that `http://` locations may name, because this user allowed it."""
    monkeypatch.setenv(LOCALHOST, "1")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def told() -> list[tuple[int, int | None, str]]:
    """What a transfer said of how far it is."""
    return []


@pytest.fixture
def transfer(told: list[tuple[int, int | None, str]]) -> Transfer:
    return Transfer("the model", lambda *step: told.append(step), 60.0)


METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{more}"


def write_wheel(
    folder: Path,
    files: Mapping[str, bytes] | None = None,
    name: str = "acme-net",
    more: str = "License: MIT\n",
    members: list[tuple[zipfile.ZipInfo, bytes]] | None = None,
) -> Path:
    """A wheel of version 1.0 in `folder`. members: as they are, for hostile ones."""
    stem = name.replace("-", "_")
    info = f"{stem}-1.0.dist-info"
    path = folder / f"{stem}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in (files or {}).items():
            archive.writestr(member, content)
        for entry, content in members or []:
            archive.writestr(entry, content)
        archive.writestr(f"{info}/METADATA", METADATA.format(name=name, more=more))
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user's pip settings name, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder
