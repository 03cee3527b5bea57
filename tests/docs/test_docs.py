"""The documentation does what it says: its code runs, its recipes are valid, its links lead somewhere.

How a block is treated is said by its fence:

    ```console            `$ ` lines are run; the lines shown below one occur in its output, in
                          order, where `...` stands for any text; `exit=4` expects that code
    ```bash               run as a script that must succeed
    ```python             run; blocks of one page share their names
    ```LANG file=NAME     written to NAME for the blocks after it
    ```yaml               a recipe (it has `defaults:`) is checked as `taxiway validate --static` does;
                          `invalid` expects that it is wrong
    ```LANG no-run: WHY   left out, for a reason
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.compose.static import validate_static
from taxiway.errors import RecipeError

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SLOW = {
    "README.md",
    "conversions.md",
    "quickstart.md",
    "recipes.md",
    "gates.md",
    "passes.md",
    "cache.md",
    "bundles.md",
} | {
    "python.md",
    "plugins.md",
    "sources.md",
    "calibration.md",
}
"""Pages whose code loads TensorFlow or makes many runs."""
RUN = ("console", "bash", "python")
KNOWN = {*RUN, "yaml", "json", "toml", "text"}
FENCE = re.compile(r"^```(\w*)[ ]*([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, and the line it begins in."""

    language: str
    words: str
    text: str
    line: int

    @property
    def skipped(self) -> bool:
        return self.words.startswith("no-run:")

    def option(self, name: str) -> str | None:
        match = re.search(rf"\b{name}=(\S+)", self.words)
        return match[1] if match and not self.skipped else None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], found[3], text[: found.start()].count("\n") + 1)
        for found in FENCE.finditer(text)
    ]


def label(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def runnable() -> Iterator[object]:
    for page in PAGES:
        if any(b.language in RUN and not b.skipped for b in blocks(page)):
            marks = [pytest.mark.slow] if page.name in SLOW else []
            yield pytest.param(page, id=label(page), marks=marks)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all pages: what one made, the next finds."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def folder(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the page's own; `pip install` goes to a folder on PYTHONPATH, offline."""
    site = tmp_path / "site-packages"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name, value in {
        "TAXIWAY_STORE": str(store),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    return work


@pytest.mark.parametrize("page", list(runnable()))
def test_code_runs(page: Path, folder: Path) -> None:
    names: dict[str, object] = {"__name__": "__docs__"}
    for block in blocks(page):
        where = f"{label(page)}:{block.line}"
        target = block.option("file")
        if block.skipped:
            continue
        if target:
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, label(page), "exec"), names)
        elif block.language == "bash":
            done = shell(f"set -e\n{block.text}")
            assert done.returncode == 0, f"{where}\n{done.stdout}"
        elif block.language == "console":
            for command, shown in commands(block.text):
                done = shell(command)
                expected = int(block.option("exit") or 0)
                assert done.returncode == expected, f"{where}: {command}\n{done.stdout}"
                assert_shows(done.stdout, shown, f"{where}: {command}")


def shell(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(command, the lines shown below it); a command goes on after a backslash."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        shown = [line for line in lines[end + 1 :] if line.strip() not in ("", "...")]
        yield "\n".join(lines[: end + 1]), shown


def assert_shows(output: str, shown: list[str], where: str) -> None:
    """Each shown line occurs after the one before it; runs of blanks are equal, `...` is any text."""
    rest = [" ".join(line.split()) for line in output.splitlines()]
    for line in shown:
        parts = [re.escape(part) for part in " ".join(line.split()).split("...")]
        pattern = re.compile(".*?".join(parts))
        at = next((i for i, found in enumerate(rest) if pattern.fullmatch(found)), None)
        assert at is not None, f"{where}\nnot shown: {line}\n--- output:\n{output}"
        rest = rest[at + 1 :]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_blocks_are_known(page: Path) -> None:
    for block in blocks(page):
        where = f"{label(page)}:{block.line}"
        assert block.language in KNOWN, f"{where}: a fence names one of {', '.join(sorted(KNOWN))}"
        if block.words and not block.skipped:
            assert re.fullmatch(r"(file=\S+( invalid)?|exit=\d+)", block.words), (
                f"{where}: {block.words}"
            )
        if block.skipped:
            assert len(block.words.removeprefix("no-run:").split()) >= 2, f"{where}: say why"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_recipes_are_valid(page: Path, tmp_path: Path) -> None:
    for index, block in enumerate(blocks(page)):
        if block.language == "yaml" and re.search(r"^defaults:", block.text, re.MULTILINE):
            recipe = tmp_path / f"recipe_{index}.yaml"
            recipe.write_text(block.text, encoding="utf-8")
            wrong = block.words.endswith(" invalid")
            with pytest.raises(RecipeError) if wrong else nullcontext():
                validate_static(recipe)


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{label(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{label(page)}: {link}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve()
        for link in LINK.findall(index.read_text(encoding="utf-8"))
    }
    assert not [
        label(page) for page in PAGES if page.parent != ROOT and page not in {*linked, index}
    ]


def test_the_reference_is_that_of_the_plugins() -> None:
    done = shell(f"{sys.executable} {ROOT / 'docs' / 'generate.py'} --check")
    assert done.returncode == 0, done.stdout
