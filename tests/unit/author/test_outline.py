from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.author.outline import is_recipe, outline
from taxiway.compose.assets import shipped_recipes


@pytest.mark.parametrize(
    ("text", "description", "chosen"),
    [
        pytest.param("", "", {}, id="empty"),
        pytest.param("# About it.\n# More.\nname: x\n", "About it.", {}, id="first comment"),
        pytest.param(
            "# yaml-language-server: $schema=x\n\n#\n#  Real. \n", "Real.", {}, id="modeline"
        ),
        pytest.param(
            "defaults:\n- base\n- source: onnx\n", "", {"source": ("onnx",)}, id="no indent"
        ),
        pytest.param(
            "defaults:\n  - source: 'onnx'  # why\n",
            "",
            {"source": ("onnx",)},
            id="quoted, comment",
        ),
        pytest.param(
            "defaults:\n  - optimize: [a, b]\n", "", {"optimize": ("a", "b")}, id="flow list"
        ),
        pytest.param(
            "defaults:\n  - optimize:\n    - a\n    - b\n  - deploy: c\n",
            "",
            {"optimize": ("a", "b"), "deploy": ("c",)},
            id="block list",
        ),
        pytest.param("defaults:\n  - evaluate: null\n", "", {"evaluate": ()}, id="null"),
        pytest.param("defaults:\n  - optimize: []\n", "", {"optimize": ()}, id="none"),
        pytest.param(
            "defaults:\n  - override /data@data: npz\n",
            "",
            {"data": ("npz",)},
            id="override, package",
        ),
        pytest.param("name: x\nlist:\n  - source: onnx\n", "", {}, id="another list"),
        pytest.param(
            "defaults:\n  - source: onnx\nother:\n  - data: npz\n",
            "",
            {"source": ("onnx",)},
            id="ends",
        ),
    ],
)
def test_outline(
    text: str, description: str, chosen: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_text(text)
    read = outline(tmp_path / "r.yaml")
    assert read.description == description
    assert {group: options for group, options in read.chosen.items() if group != "base"} == chosen


@pytest.mark.parametrize("path", shipped_recipes().values(), ids=shipped_recipes())
def test_a_shipped_recipe_reads_as_yaml_does(path: Path) -> None:
    import yaml

    defaults = yaml.safe_load(path.read_text())["defaults"]
    chosen = {}
    for entry in defaults:
        if isinstance(entry, dict):
            ((group, options),) = entry.items()
            chosen[group] = tuple(options) if isinstance(options, list) else (options,)
    assert outline(path).chosen == chosen
    assert outline(path).description
    assert is_recipe(path)


@given(st.binary(max_size=400))
def test_any_file_has_an_outline(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "r.yaml"
        file.write_bytes(b"defaults:\n" + content)
        assert isinstance(outline(file).chosen, dict)
        assert is_recipe(file)


def test_an_absent_file_is_no_recipe(tmp_path: Path) -> None:
    assert not is_recipe(tmp_path / "absent.yaml")
