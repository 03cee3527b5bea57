"""A recipe that names a model elsewhere: it reads no file of yours, tells no secret, and runs nothing."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from pathlib import Path

import pytest
from served import Site, write_wheel

import taxiway
from taxiway.errors import RecipeError, SafetyError, TaxiwayError

SECRET = "hunter2-the-secret-token"
PIN, OTHER_PIN = "ab" * 32, "cd" * 32


@pytest.fixture
def source(folder: Path):
    """Sets the source section of `mine.yaml`, which then only brings the model in."""

    def write(path: str, sha256: str | None = PIN, **more: str) -> Path:
        pin = f"  sha256: {sha256}\n" if sha256 else ""
        rest = "".join(f"  {key}: {value}\n" for key, value in more.items())
        (folder / "mine.yaml").write_text(
            "defaults: [base, {source: onnx}, _self_]\nname: mine\nsource:\n"
            f"  path: {json.dumps(path)}\n{pin}{rest}"
        )
        return folder / "mine.yaml"

    return write


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run(recipe: Path, tmp_path: Path) -> taxiway.RunResult:
    return taxiway.load(recipe).run(output=tmp_path / "runs", store=tmp_path / "store")


def written(*folders: Path) -> bytes:
    """All that lies in these folders."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return b"\n".join(file.read_bytes() for file in files)


ELSEWHERE = [
    "file:///etc/passwd",
    "file:/etc/passwd",
    "File://localhost/etc/passwd",
    "ssh://host/model.onnx",
    "git+https://host/model.onnx",
    "git+ssh://git@host/model.onnx",
    "ftp://host/model.onnx",
    "http://host/model.onnx",
    "http://127.0.0.1/model.onnx",
    "http://169.254.169.254/latest/meta-data/",
    "local:///etc/passwd",
    "memory://x",
    "simplecache://x",
    "zip://model.onnx",
    "github://org:repo@main/x",
    "data:/x",
    "pkg://taxiway/../../../../etc/passwd",
    "pkg://taxiway//etc/passwd",
    "wheel://x==1.0/../../../etc/passwd",
    "wheel://-rrequirements==1.0/x",
    "wheel://--index-url=http==1.0/x",
    "wheel://x @ file:///tmp/evil.whl==1/x",
    "hf://../../etc/passwd",
    "hf://datasets/o/../r",
    "s3://bucket/../../x",
    "s3://bucket/x::file:///etc/passwd",
    "gs://bucket/a/../../x",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_elsewhere(source, path: str) -> None:
    with pytest.raises(RecipeError) as caught:
        taxiway.load(source(path)).plan()
    assert caught.value.exit_code == 5
    assert caught.value.problems[0].line == 4


@pytest.mark.parametrize("path", ["~/model.onnx", "$HOME/model.onnx", "%HOME%/model.onnx"])
def test_nothing_is_expanded(
    source, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(RecipeError, match="no file or folder"):
        taxiway.load(source(path)).plan()


def test_a_link_in_the_folder_leads_nowhere(source, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes((folder / "model.onnx").read_bytes())
    (folder / "link.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(RecipeError, match="leads outside") as caught:
        taxiway.load(source("link.onnx", sha256=None)).plan()
    assert caught.value.exit_code == 5


PASSWORDS = [
    f"https://user:{SECRET}@host/model.onnx",
    f"https://{SECRET}@host/model.onnx?x=1",
    f"s3://key:{SECRET}@bucket/model.onnx",
]


@pytest.mark.parametrize("path", PASSWORDS)
def test_passwords_are_refused_and_not_repeated(source, cli, path: str) -> None:
    source(path)
    done = cli("plan", "mine.yaml")
    assert done.returncode == 5 and "environment" in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_signed_url_is_kept_nowhere(
    source, folder: Path, site: Site, tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (folder / "model.onnx").read_bytes()
    url = f"{site.give('/model.onnx', body)}?X-Amz-Signature={SECRET}"
    recipe = source(url, sha256(body))
    done = run(recipe, tmp_path)
    assert site.asked == [f"/model.onnx?X-Amz-Signature={SECRET}"] and done.artifact
    assert SECRET.encode() not in written(tmp_path / "runs", tmp_path / "store")
    locked = cli("run", "mine.yaml", "--lock")
    assert locked.returncode == 0, locked.stderr
    assert SECRET.encode() not in (folder / "mine.lock").read_bytes()
    assert cli("run", "mine.yaml", "--locked").returncode == 0
    for words in (["show", "mine.yaml"], ["plan", "mine.yaml"]):
        said = cli(*words)
        assert said.returncode == 0 and SECRET not in said.stdout + said.stderr


@pytest.mark.parametrize("pin", [None, OTHER_PIN])
def test_a_failure_tells_no_signature(source, site: Site, cli, pin: str | None) -> None:
    source(f"{site.url}/gone.onnx?sig={SECRET}", pin)
    for words in (["run", "mine.yaml"], ["run", "mine.yaml", "--json"], ["plan", "mine.yaml"]):
        done = cli(*words)
        assert SECRET not in done.stdout + done.stderr
        assert done.returncode == (0 if pin and words[0] == "plan" else 1 if pin else 2)


def test_environment_secrets_reach_no_worker(
    source, folder: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fetching needs stays in the parent process."""
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, SECRET)
    body = (folder / "model.onnx").read_bytes()
    run(source(site.give("/model.onnx", body), sha256(body)), tmp_path)
    assert SECRET.encode() not in written(tmp_path / "runs", tmp_path / "store")


def test_the_wrong_file_is_refused(source, folder: Path, site: Site, tmp_path: Path, cli) -> None:
    body = (folder / "model.onnx").read_bytes()
    source(site.give("/model.onnx", body), PIN)
    done = cli("run", "mine.yaml", "--store", str(tmp_path / "store"))
    assert done.returncode == 5
    assert PIN in done.stderr and sha256(body) in done.stderr
    assert not list((tmp_path / "store").glob("downloads/*"))
    assert not list((tmp_path / "store").glob("tmp/*"))
    assert not list((tmp_path / "store").glob("steps/*/*"))


def test_a_changed_local_file_is_refused(source, folder: Path, cli) -> None:
    body = (folder / "model.onnx").read_bytes()
    source("model.onnx", sha256(body))
    assert cli("plan", "mine.yaml").returncode == 0
    source("model.onnx", PIN)
    done = cli("plan", "mine.yaml")
    assert done.returncode == 5 and "mine.yaml:5:" in done.stderr and sha256(body) in done.stderr


def test_a_pickle_from_elsewhere_meets_the_gate(source, site: Site, tmp_path: Path) -> None:
    body = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94."
    with pytest.raises(SafetyError, match="pickle"):
        run(source(site.give("/model.onnx", body), sha256(body)), tmp_path)


def _entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


MEMBERS = {
    "slip": [(_entry("../../evil.onnx"), b"x")],
    "absolute": [(_entry("/tmp/evil.onnx"), b"x")],
    "backslash": [(_entry("acme_net\\..\\..\\evil.onnx"), b"x")],
    "link": [(_entry("acme_net/link.onnx", stat.S_IFLNK | 0o777), b"/etc/passwd")],
    "device": [(_entry("acme_net/device", stat.S_IFCHR | 0o666), b"")],
    "double": [(_entry("acme_net/m.onnx"), b"a"), (_entry("ACME_net/m.onnx"), b"b")],
    "bomb": [(_entry("acme_net/bomb"), b"\0" * 20_000_000)],
}


@pytest.mark.parametrize("case", MEMBERS)
def test_hostile_wheels(source, index: Path, tmp_path: Path, case: str) -> None:
    """The whole wheel is refused, whichever of its files is asked for."""
    if case == "bomb":
        MEMBERS[case][0][0].compress_type = zipfile.ZIP_DEFLATED
    path = write_wheel(index, {"acme_net/good.onnx": b"x"}, members=MEMBERS[case])
    for wanted in ("acme_net/good.onnx", "acme_net"):
        recipe = source(f"wheel://acme-net==1.0/{wanted}", sha256(path.read_bytes()))
        with pytest.raises(SafetyError, match=r"acme_net-1\.0.* is refused"):
            run(recipe, tmp_path)
    assert not list(tmp_path.rglob("evil*")) and not list((tmp_path / "store" / "tmp").iterdir())


def test_a_wheel_is_not_installed_or_run(source, folder: Path, index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')".encode()
    files = {
        "acme_net/__init__.py": code,
        "acme_net.pth": b"import os; " + code,
        "acme_net-1.0.data/scripts/acme": b"#!python\n" + code,
        "acme_net/model.onnx": (folder / "model.onnx").read_bytes(),
    }
    path = write_wheel(index, files, more="License-Expression: Apache-2.0\n")
    done = run(
        source("wheel://acme-net==1.0/acme_net/model.onnx", sha256(path.read_bytes())), tmp_path
    )
    assert done.artifact and done.licence == "Apache-2.0" and not marker.exists()


def test_the_part_of_a_wheel_enters_the_key(source, index: Path) -> None:
    """Two files of one wheel have one pin."""
    pin = sha256(write_wheel(index, {}).read_bytes())
    keys = {
        taxiway.load(source(f"wheel://acme-net==1.0/{path}", pin)).plan().steps[0].key
        for path in ("a.onnx", "b.onnx", "a.onnx")
    }
    assert len(keys) == 2


def test_no_pin_no_run(source, index: Path, tmp_path: Path) -> None:
    path = write_wheel(index, {"acme_net/model.onnx": b"x"})
    recipe = source("wheel://acme-net==1.0/acme_net/model.onnx", sha256=None)
    with pytest.raises(RecipeError) as caught:
        run(recipe, tmp_path)
    assert f"sha256: {sha256(path.read_bytes())}" in str(caught.value.problems[0].hint)
    assert not list((tmp_path / "store").glob("steps/*/*"))


@pytest.mark.parametrize("pin", [PIN[1:], PIN + "a", PIN.upper(), "sha256:" + PIN, PIN + "\n"])
def test_what_is_no_pin(source, pin: str) -> None:
    with pytest.raises(TaxiwayError):
        taxiway.load(source("model.onnx", json.dumps(pin))).plan()
