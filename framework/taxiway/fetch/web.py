"""`https://`: one file from a web server, with what the standard library has."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from taxiway import __version__
from taxiway.errors import SafetyError, StepError
from taxiway.fetch import stream
from taxiway.fetch.location import Url, allowed_url
from taxiway.fetch.redact import without_secrets

_HEADERS = {"User-Agent": f"taxiway/{__version__}", "Accept-Encoding": "identity"}


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to an https address only, and never back to this machine."""

    max_redirections = 5

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        target = urljoin(req.full_url, headers.get("Location") or headers.get("URI") or "")
        came, goes = urlsplit(req.full_url), urlsplit(target)
        downgraded = came.scheme == "https" and goes.scheme != "https"
        if downgraded or not allowed_url(target) or "@" in goes.netloc:
            raise SafetyError(
                f"{came.hostname} redirects to a '{goes.scheme}:' address that is refused"
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Only http, https and the user's proxies: no file, ftp or data handler."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def fetch(location: Url, folder: Path, transfer: stream.Transfer) -> None:
    """Put the file into `folder`.

    Raises StepError where the server does not give it whole, SafetyError for a redirect that is no
    https address.
    """
    request = urllib.request.Request(location.text, headers=_HEADERS)  # noqa: S310
    try:
        with _opener().open(request, timeout=stream.IDLE_SECONDS) as answer:
            size = _size(answer, location)
            transfer.expect(size)
            transfer.save(_Body(answer), folder / location.name, size)
    except urllib.error.HTTPError as error:
        raise StepError(
            f"{location.shown}: the server answers {error.code} {error.reason}", _why(error.code)
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        text = str(reason) or type(reason).__name__
        if isinstance(reason, TimeoutError):
            text = f"no answer for {stream.IDLE_SECONDS:g} s"
        raise StepError(
            f"{location.shown} cannot be fetched: {without_secrets(text)}",
            "run the same command again; HTTPS_PROXY and SSL_CERT_FILE are honoured",
        ) from error


class _Body:
    """The answer's bytes as they come: a slow answer still shows how far it is, and ends in time."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self, size: int, /) -> bytes:
        return bytes(self._answer.read1(size))


def _size(answer: Any, location: Url) -> int | None:
    if answer.status != 200:
        raise StepError(
            f"{location.shown}: the server answers {answer.status}, not the file",
            _why(answer.status),
        )
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise StepError(
            f"{location.shown} comes encoded ({encoding[:40]}), though it was asked for as it is",
            "name the file itself, such as the 'raw' address of a page",
        )
    text = answer.headers.get("Content-Length")
    return int(text) if text and text.isdecimal() else None


def _why(code: int) -> str:
    if code in (401, 403):
        return "the file must be public, or its address signed"
    if code in (404, 410):
        return "check the address in a browser"
    return "run the same command again"
