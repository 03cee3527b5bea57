"""A transfer that tells how far it is."""

from __future__ import annotations

import pytest

from taxiway.fetch.stream import Transfer


@pytest.fixture
def told() -> list[tuple[int, int | None, str]]:
    """What a transfer said of how far it is."""
    return []


@pytest.fixture
def transfer(told: list[tuple[int, int | None, str]]) -> Transfer:
    return Transfer("the model", lambda *step: told.append(step), 60.0)
