"""The support matrix says what is true: its rows are those of the models, and some are run again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "support-matrix.md"
FEW = ("onnx", "sklearn")
"""Sources whose rows are run again here; `make matrix` runs all."""


def rows(text: str) -> dict[tuple[str, str], str]:
    cells = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {(row[0].removeprefix("| "), row[1]): " | ".join(row[2:]) for row in cells[1:]}


def test_there_is_a_row_for_every_model_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from matrix.models import specimens

    assert set(rows(PAGE.read_text())) == {(one.source, one.kind) for one in specimens()}


@pytest.mark.slow
def test_rows_that_are_run_again_say_the_same() -> None:
    pytest.importorskip("skops", reason="a row is of scikit-learn")
    command = [sys.executable, str(DOCS / "support_matrix.py"), "--only", *FEW]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown = {row: cells for row, cells in rows(PAGE.read_text()).items() if row[0] in FEW}
    assert rows("| source | model |\n" + done.stdout) == shown
