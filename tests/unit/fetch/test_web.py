from __future__ import annotations

import gzip
import http.server
import threading
from pathlib import Path

import pytest

from taxiway.errors import SafetyError, StepError
from taxiway.fetch import stream, web
from taxiway.fetch.location import LOCALHOST, Url
from taxiway.fetch.stream import Transfer

BODY = bytes(range(256)) * 1000


def fetched(url: str, folder: Path, transfer: Transfer) -> bytes:
    (folder / "into").mkdir()
    web.fetch(Url(url), folder / "into", transfer)
    (file,) = (folder / "into").iterdir()
    return file.read_bytes()


def test_a_file(site, tmp_path: Path, transfer: Transfer, told: list) -> None:
    assert fetched(site.give("/a/m.onnx", BODY), tmp_path, transfer) == BODY
    assert (tmp_path / "into" / "m.onnx").is_file()
    assert told[-1] == (len(BODY), len(BODY), "B")
    assert site.headers[0]["Accept-Encoding"] == "identity"


def test_without_a_length(site, tmp_path: Path, transfer: Transfer) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")

    site.answers["/m"] = answer
    assert fetched(f"{site.url}/m", tmp_path, transfer) == b"abcdefg"


def test_a_good_redirect(site, tmp_path: Path, transfer: Transfer) -> None:
    site.give("/there", BODY)
    assert fetched(site.send_on("/m", "/there"), tmp_path, transfer) == BODY
    assert (tmp_path / "into" / "m").is_file()


def _cut_chunks(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nabc\r\nff\r\nde")


def _nothing(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(204)
    handler.end_headers()


def _endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(BODY)


FAILS = {
    "truncated": lambda site: site.give("/m", BODY[:100], Content_Length=str(len(BODY))),
    "cut chunks": lambda site: site.answers.update({"/m": _cut_chunks}),
    "absent": lambda site: None,
    "gzip": lambda site: site.give("/m", gzip.compress(BODY), Content_Encoding="gzip"),
    "no http": lambda site: site.answers.update({"/m": lambda h: h.wfile.write(b"hello")}),
    "loop": lambda site: site.send_on("/m", "/m"),
    "no content": lambda site: site.answers.update({"/m": _nothing}),
}
MESSAGE = {
    "truncated": "came with 100 of 256,000 bytes",
    "cut chunks": "cannot be fetched: IncompleteRead",
    "absent": "answers 404",
    "gzip": r"comes encoded \(gzip\)",
    "no http": "cannot be fetched",
    "loop": "answers 302",
    "no content": "answers 204",
}


@pytest.mark.parametrize("case", FAILS)
def test_not_whole(site, tmp_path: Path, transfer: Transfer, case: str) -> None:
    FAILS[case](site)
    with pytest.raises(StepError, match=MESSAGE[case]) as caught:
        fetched(f"{site.url}/m?signature=hunter2pass", tmp_path, transfer)
    assert caught.value.hint and "hunter2pass" not in caught.value.render()


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/m",
        "http://example.com/m",
        "http://10.0.0.1/m",
        "https://user:password@example.com/m",
        "data:text/plain,x",
        "gopher://127.0.0.1/",
    ],
)
@pytest.mark.parametrize("code", [301, 302, 307])
def test_redirects_elsewhere(
    site, tmp_path: Path, transfer: Transfer, target: str, code: int
) -> None:
    with pytest.raises(SafetyError, match=r"127\.0\.0\.1 redirects to") as caught:
        fetched(site.send_on("/m", target, code), tmp_path, transfer)
    assert "password" not in caught.value.message
    assert list((tmp_path / "into").iterdir()) == []


def test_https_does_not_come_back_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    monkeypatch.setenv(LOCALHOST, "1")
    request = urllib.request.Request("https://example.com/m")
    with pytest.raises(SafetyError, match=r"example\.com redirects to a 'http:' address"):
        web._Redirects().http_error_302(
            request, None, 302, "Found", {"Location": "http://127.0.0.1/m"}
        )


def test_nobody_answers(tmp_path: Path, transfer: Transfer, site) -> None:
    with pytest.raises(StepError, match=r"cannot be fetched: .*refused"):
        fetched("http://127.0.0.1:9/m", tmp_path, transfer)


def test_silence(site, tmp_path: Path, transfer: Transfer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "IDLE_SECONDS", 0.1)
    done = threading.Event()
    site.answers["/m"] = lambda handler: done.wait(10) and None
    with pytest.raises(StepError, match=r"no answer for 0\.1 s"):
        fetched(f"{site.url}/m", tmp_path, transfer)
    done.set()


def test_a_trickle_ends_at_the_limit(site, tmp_path: Path, told: list) -> None:
    done = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not done.wait(0.02):
            handler.wfile.write(b"x")

    site.answers["/m"] = answer
    with pytest.raises(StepError, match="did not come within") as caught:
        fetched(f"{site.url}/m", tmp_path, Transfer("m", lambda *_: None, 0.3))
    done.set()
    assert "limits.time" in str(caught.value.hint)


@pytest.mark.parametrize("announced", [True, False])
def test_too_large(
    site, tmp_path: Path, transfer: Transfer, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    monkeypatch.setattr(stream, "MAX_BYTES", 1000)
    url = site.give("/m", BODY)
    if not announced:
        site.answers["/m"] = _endless
    with pytest.raises(SafetyError, match="at most 1000 B" if announced else "is larger than"):
        fetched(url, tmp_path, transfer)


def test_a_name_too_long_for_the_disk(site, tmp_path: Path, transfer: Transfer) -> None:
    with pytest.raises(StepError, match="cannot be stored: File name too long"):
        fetched(site.give(f"/{'a' * 300}", BODY), tmp_path, transfer)
