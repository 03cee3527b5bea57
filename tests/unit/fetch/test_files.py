"""A hub and an object store on this machine, asked by the real clients."""

from __future__ import annotations

import hashlib
import http.server
import json
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from served import Site

from taxiway.errors import PluginError, SafetyError, StepError
from taxiway.fetch import files, parse
from taxiway.fetch.stream import Transfer

SECRET = "hunter2-the-secret-token"
REPOSITORY = {
    "README.md": b"---\nlicense: mit\n---\n",
    "config.json": b"{}",
    "model.safetensors": b"weights" * 10_000,
    "pytorch_model.bin": b"a pickle",
    "tf_model.h5": b"for TensorFlow",
    "onnx/model.onnx": b"graph",
    "onnx/model.pt": b"a pickle",
    ".gitattributes": b"",
    "1_Pooling/config.json": b"{}",
}
COMMIT = "c" * 40


def _hub(site: Site, repository: dict[str, bytes]) -> None:
    """The few calls of the hub that reading takes (https://huggingface.co/docs/hub/api)."""

    def entry(name: str) -> dict[str, object]:
        return {"type": "file", "path": name, "size": len(repository[name]), "oid": "0" * 40}

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        body, headers, code = b"", {}, 200
        if path.startswith("/api/models/acme/net/tree/"):
            below = path.split("/tree/")[1].partition("/")[2]
            start = f"{below}/" if below else ""
            names = [n for n in sorted(repository) if n.startswith(start)]
            found = [entry(name) for name in names]
            if "recursive=true" not in handler.path.lower():
                rest = {n: n.removeprefix(start).split("/") for n in names}
                folders = sorted({start + parts[0] for parts in rest.values() if len(parts) > 1})
                found = [entry(n) for n in names if len(rest[n]) == 1]
                found += [{"type": "directory", "path": n, "oid": "0" * 40} for n in folders]
            body = json.dumps(found).encode()
        elif path.startswith("/api/models/acme/net/paths-info/"):
            length = int(handler.headers.get("Content-Length") or 0)
            asked = _paths(handler.rfile.read(length))
            body = json.dumps([entry(n) for n in asked if n in repository]).encode()
            folders = {n.split("/")[0] for n in repository if "/" in n}
            more = [
                {"type": "directory", "path": n, "oid": "0" * 40} for n in asked if n in folders
            ]
            body = json.dumps([*json.loads(body), *more]).encode()
        elif path.startswith("/api/models/acme/net"):
            body = json.dumps(
                {"_id": "x", "id": "acme/net", "sha": COMMIT, "siblings": []}
            ).encode()
        elif "/resolve/" in path and path.split("/resolve/")[1].partition("/")[2] in repository:
            body = repository[path.split("/resolve/")[1].partition("/")[2]]
            headers = {"ETag": '"x"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            wanted = handler.headers.get("Range")
            if wanted:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                total = len(body)
                body = body[int(first) : int(last or total) + 1]
                headers["Content-Range"] = f"bytes {first}-{int(first) + len(body) - 1}/{total}"
                code = 206
        else:
            code, body = 404, b"{}"
            headers = {"X-Error-Code": "RepoNotFound"}
        handler.send_response(code)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    site.fallback = answer


def _paths(body: bytes) -> list[str]:
    try:
        paths = json.loads(body)["paths"]
    except ValueError:
        paths = parse_qs(body.decode())["paths"]
    return [paths] if isinstance(paths, str) else paths


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants, hf_api, hf_file_system

    for module in (hf_api, hf_file_system):
        if hasattr(module, "ENDPOINT"):
            monkeypatch.setattr(module, "ENDPOINT", site.url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, site.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", site.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    _hub(site, REPOSITORY)
    return site


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}  # fmt: skip


@pytest.fixture
def got(tmp_path: Path, transfer: Transfer) -> Callable[[str], dict[str, bytes]]:
    def fetch(text: str) -> dict[str, bytes]:
        location = parse(text)
        folder = tmp_path / "into"
        folder.mkdir()
        fetch = files.fetch_hub if text.startswith("hf:") else files.fetch_bucket
        fetch(location, folder, transfer)
        return tree(folder)

    return fetch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://acme/net/onnx/model.onnx", {"model.onnx": "onnx/model.onnx"}),
        ("hf://acme/net@main/config.json", {"config.json": "config.json"}),
        ("hf://acme/net/onnx", {"onnx/model.onnx": "onnx/model.onnx"}),
        (
            "hf://acme/net",
            {
                f"net/{name}": name
                for name in (
                    *("README.md", "config.json", "model.safetensors"),
                    "1_Pooling/config.json",
                )
            },
        ),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_hub(hub: Site, got, told: list, text: str, expected: dict[str, str]) -> None:
    assert got(text) == {name: REPOSITORY[original] for name, original in expected.items()}
    total = sum(len(REPOSITORY[name]) for name in expected.values())
    assert told[-1] == (total, total, "B")


def test_hub_has_no_such_repository(hub: Site, got) -> None:
    with pytest.raises(StepError, match="hf://acme/other cannot be fetched") as caught:
        got("hf://acme/other")
    assert SECRET not in caught.value.render()


def test_hub_says_a_name_that_leads_outside(hub: Site, got, tmp_path: Path) -> None:
    _hub(hub, {"ok": b"", "../../evil": b"x"})
    with pytest.raises(SafetyError, match="leads out of its folder"):
        got("hf://acme/net")
    assert not list(tmp_path.rglob("evil"))


OBJECTS = {
    "models/saved/": b"",
    "models/net.onnx": b"graph" * 1000,
    "models/saved/saved_model.pb": b"pb",
    "models/saved/variables/v.index": b"index",
    "models/savedness": b"not below the folder",
}


def _s3(site: Site, objects: dict[str, bytes]) -> None:
    """ListObjectsV2, HeadObject and GetObject (Amazon S3 API reference)."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = parse_qs(parts.query)
        code, headers = 200, {}
        if bucket != "bucket":
            code, body = 404, b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>"
        elif not key:
            body = _listing(objects, query).encode()
        elif key in objects:
            body = objects[key]
            headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
            wanted = handler.headers.get("Range")
            if wanted:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                total = len(body)
                body = body[int(first) : int(last or total) + 1]
                headers["Content-Range"] = f"bytes {first}-{int(first) + len(body) - 1}/{total}"
                code = 206
        else:
            code, body = 404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
        handler.send_response(code)
        headers["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    site.fallback = answer


def _listing(objects: dict[str, bytes], query: dict[str, list[str]]) -> str:
    prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
    keys, common = [], set()
    for key in sorted(objects):
        rest = key.removeprefix(prefix)
        if key.startswith(prefix) and delimiter and delimiter in rest:
            common.add(prefix + rest.split(delimiter)[0] + delimiter)
        elif key.startswith(prefix):
            keys.append(key)
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size><ETag>x</ETag>"
        "<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(common)
    )
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
        f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys) + len(common)}</KeyCount>"
        f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}{prefixes}"
        "</ListBucketResult>"
    )


@pytest.fixture
def s3(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    pytest.importorskip("s3fs")
    (tmp_path / "aws").write_text("")
    for name, value in {
        "AWS_ENDPOINT_URL_S3": site.url,
        "AWS_ENDPOINT_URL": site.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "aws"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws"),
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    _s3(site, OBJECTS)
    return site


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/models/net.onnx", {"net.onnx": "models/net.onnx"}),
        (
            "s3://bucket/models/saved/",
            {
                "saved/saved_model.pb": "models/saved/saved_model.pb",
                "saved/variables/v.index": "models/saved/variables/v.index",
            },
        ),
    ],
)
def test_s3(s3: Site, got, told: list, text: str, expected: dict[str, str]) -> None:
    assert got(text) == {name: OBJECTS[key] for name, key in expected.items()}
    total = sum(len(OBJECTS[key]) for key in expected.values())
    assert told[-1] == (total, total, "B")


@pytest.mark.parametrize(
    "text", ["s3://bucket/models/none.onnx", "s3://bucket/none/", "s3://other/x"]
)
def test_s3_has_no_such_object(s3: Site, got, text: str) -> None:
    with pytest.raises(StepError, match=r"cannot be fetched|holds no file") as caught:
        got(text)
    assert SECRET not in caught.value.render() and caught.value.hint


@pytest.mark.parametrize(
    ("text", "module", "line"),
    [
        ("gs://bucket/x", "gcsfs", "pip install 'taxiway[gcs]'"),
        ("s3://bucket/x", "s3fs", "pip install 'taxiway[s3]'"),
        ("hf://acme/net", "huggingface_hub", "pip install 'taxiway[remote]'"),
    ],
)
def test_what_is_not_installed(
    got, monkeypatch: pytest.MonkeyPatch, text: str, module: str, line: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError, match=module) as caught:
        got(text)
    assert caught.value.hint == line and caught.value.exit_code == 3
