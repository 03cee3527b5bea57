"""A web server on this machine, and wheels as a test wants them."""

from __future__ import annotations

import http.server
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Site:
    """Paths and what answers them, and all others. asked: every request's path, in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.fallback: Answer = lambda handler: handler.send_error(404)
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.headers.append(dict(self.headers))
                self.close_connection = True
                site.answers.get(self.path.partition("?")[0], site.fallback)(self)

            do_HEAD = do_POST = do_GET

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
