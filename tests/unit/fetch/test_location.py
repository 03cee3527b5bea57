from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taxiway.fetch.location import (
    LOCALHOST,
    BucketFile,
    GsFile,
    HubFile,
    LocationError,
    PackageFile,
    S3File,
    Url,
    WheelFile,
    allowed_url,
    parse,
)

GOOD = [
    ("pkg://basic-pitch/a/net.onnx", PackageFile, {"distribution": "basic-pitch", "path": "a/net.onnx"}),
    ("PKG://a/b", PackageFile, {"distribution": "a", "path": "b"}),
    (
        "wheel://basic-pitch==0.4.0/basic_pitch/nmp",
        WheelFile,
        {"distribution": "basic-pitch", "version": "0.4.0", "path": "basic_pitch/nmp"},
    ),
    ("wheel://a==1.0+cpu/x/", WheelFile, {"version": "1.0+cpu", "path": "x"}),
    ("https://h.example/m.onnx?sig=abc", Url, {"query": "?sig=abc", "name": "m.onnx"}),
    ("https://h.example:8443/a/m.onnx", Url, {"query": "", "shown": "https://h.example:8443/a/m.onnx"}),
    ("https://[2001:db8::1]/m.onnx", Url, {"name": "m.onnx"}),
    ("hf://o/r", HubFile, {"repository": "o/r", "revision": None, "path": ""}),
    ("hf://o/r@v1.0/onnx/m.onnx", HubFile, {"repository": "o/r", "revision": "v1.0", "path": "onnx/m.onnx"}),
    ("hf://o/r/", HubFile, {"path": "", "name": "r"}),
    ("s3://bucket/a/m.onnx", S3File, {"bucket": "bucket", "key": "a/m.onnx", "folder": False}),
    ("s3://bucket/saved_model/", S3File, {"key": "saved_model/", "folder": True, "name": "saved_model"}),
    ("gs://bucket/m.tflite", GsFile, {"bucket": "bucket", "key": "m.tflite"}),
]  # fmt: skip
PATHS = [
    "models/net.onnx",
    "/abs/net.onnx",
    "../up",
    "~/net.onnx",
    "$HOME/net.onnx",
    "C:/x",
    "a:b",
    "",
]
REFUSED = [
    ("file:///etc/passwd", "'file:' is refused"),
    ("file:/etc/passwd", "'file:' is refused"),
    ("FILE:///etc/passwd", "'file:' is refused"),
    ("ssh://host/x", "'ssh:' is refused"),
    ("git+https://host/x", r"'git\+https:' is refused"),
    ("git+ssh://host/x", r"'git\+ssh:' is refused"),
    ("ftp://host/x", "'ftp:' is refused"),
    ("data:/text", "'data:' is refused"),
    ("local:///x", "'local:' is refused"),
    ("simplecache://x", "'simplecache:' is refused"),
    ("http://host/x", "'http:' is refused"),
    ("http://127.0.0.1/x", "'http:' is refused"),
    ("https:/host/x", "two slashes"),
    ("https://", "a host and a file"),
    ("https://host", "a host and a file"),
    ("https://host/", "a host and a file"),
    ("https:///x", "a host and a file"),
    ("https://host:port/x", "no URL"),
    ("https://[::1/x", "no URL"),
    ("https://host/x#y", "no fragment"),
    ("https://host/x\\y", "without backslashes"),
    ("https://host/ä", "ASCII"),
    ("https://host/a/..", "no '.'"),
    ("https://host/../a", "no '.'"),
    ("https://host/a b", "blank"),
    ("https://host/a\nb", "control character"),
    ("https://user:hunter2pass@host/x", "user name or a password"),
    ("https://token@host/x", "user name or a password"),
    ("https://user:hunter2pass@host/x?y", "user name or a password"),
    ("s3://key:hunter2pass@bucket/x", "user name or a password"),
    ("pkg://user@dist/x", "user name or a password"),
    ("s3://bucket/x?versionId=1", "no query"),
    ("s3://bucket/../other/x", "plain parts"),
    ("s3://bucket/a//b", "plain parts"),
    ("s3://bucket/a::file:///etc/passwd", "plain parts"),
    ("s3://bucket/*.onnx", "plain parts"),
    ("s3://../x", "no s3://"),
    ("gs://b\\c/x", "no gs://"),
    ("pkg://dist", "no pkg://"),
    ("pkg://dist/", "no pkg://"),
    ("pkg:///x", "no pkg://"),
    ("pkg://dist/../x", "plain parts"),
    ("pkg://dist//etc/passwd", "plain parts"),
    ("pkg://dist/a/./b", "plain parts"),
    ("pkg://dist/a\\..\\b", "plain parts"),
    ("pkg://dist/C:/x", "plain parts"),
    ("wheel://name/x", "no wheel://"),
    ("wheel://name==1.0", "no wheel://"),
    ("wheel://name>=1.0/x", "no wheel://"),
    ("wheel://name==1.*/x", "no wheel://"),
    ("wheel://--index-url==1.0/x", "no wheel://"),
    ("wheel://name[extra]==1.0/x", "no wheel://"),
    ("wheel://name==1.0/../x", "plain parts"),
    ("hf://owner", "no hf://"),
    ("hf://../../x", "no hf://"),
    ("hf://o/r@/x", "no hf://"),
    ("hf://o/r@a@b/x", "no hf://"),
    ("hf://o/r/../x", "plain parts"),
]


@pytest.mark.parametrize(("text", "kind", "fields"), GOOD, ids=[case[0] for case in GOOD])
def test_good(text: str, kind: type, fields: dict[str, object]) -> None:
    location = parse(text)
    assert type(location) is kind and location.text == text
    assert {name: getattr(location, name) for name in fields} == fields


@pytest.mark.parametrize("text", PATHS)
def test_a_path_is_no_location(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused(text: str, message: str) -> None:
    with pytest.raises(LocationError, match=message) as caught:
        parse(text)
    assert "hunter2pass" not in f"{caught.value} {caught.value.hint}"


def test_a_query_is_not_shown() -> None:
    location = parse("https://h/m.onnx?X-Amz-Signature=c2VjcmV0")
    assert location and location.shown == "https://h/m.onnx?..."


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://example.com/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("http://10.0.0.1/x", False),
        ("https://example.com/x", True),
        ("file:///etc/passwd", False),
        ("//example.com/x", False),
        ("http://[/x", False),
    ],
)
def test_http_to_this_machine_where_the_user_allows_it(
    monkeypatch: pytest.MonkeyPatch, url: str, allowed: bool
) -> None:
    monkeypatch.setenv(LOCALHOST, "1")
    assert allowed_url(url) is allowed
    monkeypatch.delenv(LOCALHOST)
    assert allowed_url(url) is (allowed and url.startswith("https:"))


WORDS = "pkg wheel https http hf s3 gs file :// :/ / .. . ~ @ a a==1.0 \\ ? # :: %2e%2e $HOME C:"
PIECES = st.sampled_from([*WORDS.split(" "), "\0", " ", "\n", "localhost"])


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
@example("pkg://a/../b")
@example("s3://a/b/../../c")
def test_no_text_leads_outside(text: str) -> None:
    """Whatever is written is a path, an error, or a place inside its package, wheel, repository or bucket."""
    try:
        location = parse(text)
    except LocationError:
        return
    if location is None:
        return
    assert location.scheme in ("pkg", "wheel", "https", "hf", "s3", "gs")
    if isinstance(location, Url):
        parts = urlsplit(location.text)
        assert parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
        assert location.name not in ("", ".", "..") and "/" not in location.name
        return
    inside = location.key if isinstance(location, BucketFile) else location.path
    path = PurePosixPath(inside)
    assert not path.is_absolute() and not {"..", "."} & {*inside.split("/")}
    assert not {*inside} & {*"\\\0:\n "}
    assert location.name not in ("", ".", "..") and "/" not in location.name
