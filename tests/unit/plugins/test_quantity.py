from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.plugins.quantity import (
    Quantity,
    parse,
    seconds,
    show_bytes,
    show_seconds,
    size_in_bytes,
)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("2 ms", Quantity(0.002, "time")),
        ("2ms", Quantity(0.002, "time")),
        ("1.5 min", Quantity(90.0, "time")),
        ("200 KiB", Quantity(204800.0, "bytes")),
        ("1 MB", Quantity(1e6, "bytes")),
        ("95 %", Quantity(0.95, "ratio")),
        ("1 pt", Quantity(0.01, "points")),
        ("0.5 %rel", Quantity(0.005, "relative")),
        (0.95, Quantity(0.95, "ratio")),
        (1, Quantity(1.0, "ratio")),
    ],
    ids=str,
)
def test_parse(text: str | float, quantity: Quantity) -> None:
    parsed = parse(text)
    assert parsed.dimension == quantity.dimension
    assert parsed.value == pytest.approx(quantity.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 parsecs", "unknown unit 'parsecs'"),
        ("2 mS", "unknown unit 'mS'"),
        ("ms", "not a quantity"),
        ("2 ms 3", "not a quantity"),
        ("", "not a quantity"),
        (True, "not a quantity"),
    ],
    ids=repr,
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize("read", [seconds, size_in_bytes], ids=lambda f: f.__name__)
def test_another_dimension(read: object) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match="is not a"):
        read("1 pt")


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_a_shown_duration_is_read_back(value: float) -> None:
    assert parse(show_seconds(value)).value == pytest.approx(value, rel=6e-3)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_shown_size_is_read_back(value: int) -> None:
    assert size_in_bytes(show_bytes(value)) == pytest.approx(value, rel=0.06)
