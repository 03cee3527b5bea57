from __future__ import annotations

from pathlib import Path

import pytest

from taxiway.fetch import licence
from taxiway.fetch.licence import Licence, stated

HEAD = "Metadata-Version: 2.4\nName: a\nVersion: 1\n"
OSI = "Classifier: License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("License-Expression: Apache-2.0\nLicense: MIT\n", "Apache-2.0"),
        ("License: MIT\n", "MIT"),
        (f"{OSI}MIT License\n", "MIT License"),
        (f"{OSI}MIT License\nClassifier: License :: OSI Approved\n", "MIT License"),
        (f"{OSI}BSD License\n{OSI}MIT License\n", "BSD License, MIT License"),
        ("License: UNKNOWN\n", None),
        ("License:\n", None),
        ("License: " + "long " * 40 + "\n", None),
        ("License: Permission is granted\n        to any person\n", None),
        (f"License: UNKNOWN\n{OSI}MIT License\n", "MIT License"),
        ("", None),
        ("\nLicense: in the description\n", None),
    ],
)
def test_of_a_package(text: str, expected: str | None) -> None:
    found = licence.of_package(HEAD + text, "a-1.whl")
    assert found == (Licence(expected, "metadata of a-1.whl") if expected else None)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n# Model\n", "apache-2.0"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense: 'cc-by-4.0'  # why\n---\n", "cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: acme-terms\n---\n", "acme-terms"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nx: {license: mit}\n---\n", None),
        ("# Model\nlicense: mit\n", None),
        ("---\ntags: []\n---\nlicense: mit\n", None),
        ("---\nlicense:\n- mit\n---\n", None),
        ("", None),
    ],
)
def test_of_a_card(tmp_path: Path, card: str, expected: str | None) -> None:
    (tmp_path / "README.md").write_bytes(card.encode())
    found = licence.of_folder(tmp_path)
    assert found == (Licence(expected, "model card README.md") if expected else None)


def test_a_linked_card_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("---\nlicense: secret\n---\n")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/README.md").symlink_to(tmp_path / "secret")
    assert licence.of_folder(tmp_path / "m") is None


def test_of_a_distribution() -> None:
    assert licence.of_distribution("taxiway").text == "Apache-2.0"
    assert licence.of_distribution("no-such-distribution") is None


def test_the_recipe_has_the_last_word() -> None:
    found = {"text": "MIT", "origin": "metadata"}
    assert stated("Apache-2.0", found) == "Apache-2.0"
    assert stated(None, found) == "MIT" and stated(None, None) is None
