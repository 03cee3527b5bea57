from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taxiway.errors import StepError
from taxiway.fetch.location import PackageFile, parse
from taxiway.fetch.package import package_path

RECORD = """\
acme_net/__init__.py,,
acme_net/models/net.onnx,,
acme_net/models/saved/saved_model.pb,,
acme_net/gone.onnx,,
../../bin/acme,,
acme_net-1.0.dist-info/METADATA,,
acme_net-1.0.dist-info/RECORD,,
"""


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution whose import would leave a mark."""
    folder = tmp_path / "site"
    (folder / "acme_net/models/saved").mkdir(parents=True)
    (folder / "acme_net/__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (folder / "acme_net/models/net.onnx").write_bytes(b"graph")
    (folder / "acme_net/models/saved/saved_model.pb").write_bytes(b"pb")
    info = folder / "acme_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-net\nVersion: 1.0\n")
    (info / "RECORD").write_text(RECORD)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def at(text: str) -> Path:
    location = parse(text)
    assert isinstance(location, PackageFile)
    return package_path(location)


@pytest.mark.parametrize("name", ["acme-net", "acme_net", "Acme.Net"])
@pytest.mark.parametrize("path", ["acme_net/models/net.onnx", "acme_net/models/saved", "acme_net"])
def test_found(site_packages: Path, name: str, path: str) -> None:
    assert at(f"pkg://{name}/{path}") == site_packages / path
    assert "acme_net" not in sys.modules and not (site_packages.parent / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("pkg://acme-net/net.onnx", "acme-net 1.0 has no 'net.onnx'", "acme_net/models/net.onnx"),
        ("pkg://acme-net/acme_net/gone.onnx", "but it is not there", "--force-reinstall"),
        ("pkg://acme-net/bin/acme", "has no 'bin/acme'", ""),
        ("pkg://acme-nett/x", "'acme-nett' is not installed", "'acme-net'"),
        ("pkg://qqqqqqqq/x", "'qqqqqqqq' is not installed", "pip install qqqqqqqq"),
    ],
)
def test_not_found(site_packages: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(StepError, match=message) as caught:
        at(text)
    assert hint in str(caught.value.hint)
