"""Where a model lies: the text of a recipe's `path`, parsed. Nothing is opened or asked here.

models/net.onnx                          a path
pkg://DISTRIBUTION/FILE                  a file of an installed distribution
wheel://NAME==VERSION/FILE               a file of a wheel that is not installed
https://HOST/FILE
hf://OWNER/REPO[@REVISION][/FILE]        the Hugging Face hub
s3://BUCKET/KEY, gs://BUCKET/KEY         object stores; a folder where it ends in `/`
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import urlsplit

SCHEMES = ("pkg", "wheel", "https", "hf", "s3", "gs")
LOCALHOST = "TAXIWAY_HTTP_LOCALHOST"
"""Environment variable that allows `http://` to this machine, for a mirror of the user's own."""

# One letter is a drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=/)")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_DISTRIBUTION = re.compile(_NAME)
_REQUIREMENT = re.compile(rf"({_NAME})==([A-Za-z0-9][A-Za-z0-9._+!]*)")
_REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?", re.ASCII)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class LocationError(ValueError):
    """A location that is refused; the message holds neither a password nor a query."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Location:
    """A parsed location. text: as the recipe has it."""

    text: str
    scheme: ClassVar[str]

    @property
    def shown(self) -> str:
        """The text as it may be printed and written down."""
        return self.text

    @property
    def name(self) -> str:
        """A file name for what lies there."""
        return PurePosixPath(self.text).name


@dataclass(frozen=True)
class PackageFile(Location):
    """A file or folder of an installed distribution, by its path in the list of installed files."""

    distribution: str
    path: str
    scheme = "pkg"


@dataclass(frozen=True)
class Remote(Location):
    """A location that is fetched, and so pinned."""


@dataclass(frozen=True)
class WheelFile(Remote):
    """A file or folder inside a wheel; the pin is that of the wheel."""

    distribution: str
    version: str
    path: str
    scheme = "wheel"

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class Url(Remote):
    """A file on a web server."""

    scheme = "https"

    @property
    def shown(self) -> str:
        """Without the query, which may hold a signature."""
        head, mark, _ = self.text.partition("?")
        return f"{head}?..." if mark else head

    @property
    def query(self) -> str:
        """With its question mark; empty where there is none."""
        return "".join(self.text.partition("?")[1:])

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.text).path).name


@dataclass(frozen=True)
class HubFile(Remote):
    """A file or folder of a repository on the hub; an empty path is the repository."""

    repository: str
    revision: str | None
    path: str
    scheme = "hf"

    @property
    def name(self) -> str:
        return PurePosixPath(self.path or self.repository).name


@dataclass(frozen=True)
class BucketFile(Remote):
    """An object, or every object below a key that ends in `/`."""

    bucket: str
    key: str

    @property
    def folder(self) -> bool:
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        return PurePosixPath(self.key or self.bucket).name


@dataclass(frozen=True)
class S3File(BucketFile):
    scheme = "s3"


@dataclass(frozen=True)
class GsFile(BucketFile):
    scheme = "gs"


def parse(text: str) -> Location | None:
    """The location that `text` names; None where it is a path.

    Raises LocationError for a scheme that is refused, and for a text that its scheme's form does not
    fit: nothing leads out of a package, a wheel, a repository or a bucket.
    """
    match = _SCHEME.match(text)
    if not match:
        return None
    scheme, rest = match[1].lower(), text[match.end(1) :]
    if scheme not in (*SCHEMES, "http"):
        raise LocationError(
            f"'{scheme}:' is refused",
            f"a path in the recipe's folder, or one of {', '.join(f'{s}://' for s in SCHEMES)}",
        )
    if not rest.startswith("://"):
        raise LocationError(f"'{scheme}:' needs two slashes", f"write {scheme}://...")
    if _CONTROL.search(text):
        raise LocationError(f"a {scheme}:// location holds a blank or a control character")
    rest = rest.removeprefix("://")
    if scheme in ("https", "http"):
        return _url(text, scheme)
    _refuse_userinfo(scheme, rest.split("/")[0] if scheme != "hf" else "")
    if "?" in rest or "#" in rest:
        raise LocationError(f"a {scheme}:// location has no query ('?') and no fragment ('#')")
    if scheme == "pkg":
        return PackageFile(text, *_package(rest))
    if scheme == "wheel":
        return WheelFile(text, *_wheel(rest))
    if scheme == "hf":
        return HubFile(text, *_hub(rest))
    return {"s3": S3File, "gs": GsFile}[scheme](text, *_bucket(scheme, rest))


def allowed_url(url: str) -> bool:
    """Whether a URL, also one that a server redirects to, may be asked: https, and http to this
    machine where the user allowed that."""
    try:
        parts = urlsplit(url)
        mirror = parts.scheme == "http" and _own_mirror(parts.hostname)
        return bool(parts.hostname) and (parts.scheme == "https" or mirror)
    except ValueError:
        return False


def _own_mirror(host: str | None) -> bool:
    return os.environ.get(LOCALHOST) == "1" and _loopback(host or "")


def _loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(text: str, scheme: str) -> Url:
    head = text.partition("?")[0]
    _refuse_userinfo(scheme, head.split("/")[2])
    if "#" in text:
        raise LocationError("a URL of a model has no fragment ('#')")
    if "\\" in text or not text.isascii():
        raise LocationError("a URL holds ASCII without backslashes", "percent-encode it")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise LocationError(f"no URL: {error}") from error
    if not host or not parts.path.strip("/"):
        raise LocationError(f"{scheme}:// needs a host and a file", "https://HOST/FILE")
    if {".", ".."} & {*parts.path.split("/")}:
        raise LocationError("the path of a URL has no '.' and no '..'")
    if scheme == "http" and not allowed_url(text):
        raise LocationError(
            "'http:' is refused: what it gives, and to whom, can be changed on the way",
            "write https://",
        )
    return Url(text)


def _refuse_userinfo(scheme: str, authority: str) -> None:
    if "@" in authority:
        raise LocationError(
            f"a {scheme}:// location with a user name or a password is refused: recipes are shared",
            "leave out what stands before '@'; credentials come from the environment",
        )


def _package(rest: str) -> tuple[str, str]:
    distribution, _, path = rest.partition("/")
    if not _DISTRIBUTION.fullmatch(distribution) or not path:
        raise LocationError("no pkg:// location", "pkg://DISTRIBUTION/FILE")
    return distribution, _inside("pkg", path)


def _wheel(rest: str) -> tuple[str, str, str]:
    requirement, _, path = rest.partition("/")
    match = _REQUIREMENT.fullmatch(requirement)
    if not match or not path:
        raise LocationError("no wheel:// location", "wheel://NAME==VERSION/FILE, one exact version")
    return match[1], match[2], _inside("wheel", path)


def _hub(rest: str) -> tuple[str, str | None, str]:
    owner, _, more = rest.partition("/")
    name, _, path = more.partition("/")
    match = _REPOSITORY.fullmatch(f"{owner}/{name}")
    if not match or {owner, name.partition("@")[0]} & {".", ".."}:
        raise LocationError("no hf:// location", "hf://OWNER/REPO[@REVISION][/FILE]")
    return match[1], match[2], _inside("hf", path) if path.strip("/") else ""


def _bucket(scheme: str, rest: str) -> tuple[str, str]:
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise LocationError(f"no {scheme}:// location", f"{scheme}://BUCKET/KEY")
    inside = _inside(scheme, key) if key else ""
    return bucket, f"{inside}/" if key.endswith("/") else inside


def _inside(scheme: str, path: str) -> str:
    """A relative path of plain parts, without a slash at the end."""
    parts = path.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\:*?\[\]]", path):
        raise LocationError(
            f"the path of a {scheme}:// location has plain parts: no '..', no empty part, none of \\ : * ? [ ]"
        )
    return "/".join(parts)
