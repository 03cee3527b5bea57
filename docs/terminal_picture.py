"""Writes docs/images/run.svg: what `taxiway run digits_int8` shows at its end, from a real run.

python docs/terminal_picture.py
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

import taxiway
from taxiway.report.summary import summary

COMMAND = "taxiway run digits_int8"
TARGET = Path(__file__).parent / "images" / "run.svg"
FONTS = "ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono"
THEME = TerminalTheme(
    (22, 27, 34),
    (214, 222, 231),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (214, 222, 231),
    ],
)
"""A dark terminal with enough contrast to stand on a light page and on a dark one."""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        result = taxiway.load("digits_int8").run(store=Path(scratch) / "store")
        console = Console(record=True, width=82, file=io.StringIO(), highlight=False)
        console.print(Text.assemble(("$ ", "cyan"), COMMAND))
        console.print(summary(result))
        # The frame cuts the descenders of the last line.
        console.print()
    svg = console.export_svg(title="taxiway", theme=THEME, unique_id="run")
    # A picture loads nothing: the reader's own fonts.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code", FONTS)
    lines = (line.rstrip() for line in svg.splitlines())
    TARGET.write_text("".join(f"{line}\n" for line in lines if line), encoding="utf-8")


if __name__ == "__main__":
    main()
