from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.errors import StepError
from taxiway.evaluate.gates import Gates, Verdict, judge, needs_baseline


def gates(**options: Any) -> Gates:
    return msgspec.convert(options, Gates)


def figures(n: int = 500, source: dict[str, Any] | None = None, **result: Any) -> dict[str, Any]:
    subjects = {"result": result} if source is None else {"source": source, "result": result}
    return {"n": n, "subjects": subjects}


def only(metric: str, gate: dict[str, Any], value: float, source: float | None = None) -> Verdict:
    baseline = None if source is None else {metric: source}
    (verdict,) = judge(gates(**{metric: gate}), figures(source=baseline, **{metric: value}))
    return verdict


@pytest.mark.parametrize(
    ("metric", "gate", "value", "source", "passed", "margin"),
    [
        ("accuracy", {"min": "95 %"}, 0.95, None, True, 0.0),
        ("accuracy", {"min": 0.95}, 0.948, None, False, -0.002),
        ("accuracy", {"min": 0.95}, 0.952, None, True, 0.002),
        ("accuracy", {"max": "99 %"}, 0.99, None, True, 0.0),
        ("accuracy", {"max": "99 %"}, 1.0, None, False, -0.01),
        ("accuracy", {"max_drop": "1 pt"}, 0.97, 0.98, True, 0.0),
        ("accuracy", {"max_drop": "1 pt"}, 0.969, 0.98, False, -0.001),
        ("accuracy", {"max_drop": "1 pt"}, 0.99, 0.98, True, 0.02),
        ("accuracy", {"max_drop": "0 pt"}, 0.98, 0.98, True, 0.0),
        ("accuracy", {"max_drop": "0 pt"}, 0.979999, 0.98, False, -1e-6),
        ("accuracy", {"max_drop": "1 %rel"}, 0.495, 0.5, True, 0.0),
        ("accuracy", {"max_drop": "1 %rel"}, 0.494, 0.5, False, -0.001),
        ("accuracy", {"max_drop": "10 %rel"}, 0.0, 0.0, True, 0.0),
        ("agreement", {"min": "99 %"}, 0.98, 1.0, False, -0.01),
        ("latency_p50", {"max": "2 ms"}, 0.002, None, True, 0.0),
        ("latency_p95", {"max": "2 ms"}, 0.0021, None, False, -0.0001),
        ("latency_p95", {"max_ratio": 0.5}, 0.001, 0.002, True, 0.0),
        ("latency_p95", {"max_ratio": 0.5}, 0.0012, 0.002, False, -0.0002),
        ("size", {"max": "200 KiB"}, 204_800, None, True, 0.0),
        ("size", {"max": "200 KiB"}, 204_801, None, False, -1.0),
        ("size", {"max_ratio": 0.3}, 30, 100, True, 0.0),
        ("peak_memory", {"max": "1 MB"}, 999_999, None, True, 1.0),
    ],
)
def test_boundary(
    metric: str, gate: dict[str, Any], value: float, source: float, passed: bool, margin: float
) -> None:
    verdict = only(metric, gate, value, source)
    assert verdict.passed is passed
    assert verdict.margin == pytest.approx(margin, abs=1e-12)
    assert (verdict.margin >= 0) is passed


@pytest.mark.parametrize(
    ("metric", "gate", "value", "source", "reason"),
    [
        (
            "accuracy",
            {"max_drop": "1 pt"},
            0.976,
            0.98,
            "accuracy 97.6 % is 0.4 pt below the source's 98.0 %; "
            "a drop of 1 pt is allowed (n=500)",
        ),
        (
            "accuracy",
            {"max_drop": "1 %rel"},
            0.49,
            0.5,
            "accuracy 49.0 % is 2 %rel below the source's 50.0 %; "
            "a drop of 1 %rel is allowed (n=500)",
        ),
        ("accuracy", {"min": 0.99}, 0.9125, None, "accuracy 91.25 % is 7.75 pt below the minimum"),
        ("accuracy", {"min": 0.95}, 0.95, None, "accuracy 95.0 % is the minimum 95.0 % (n=500)"),
        ("size", {"max": "2 KiB"}, 1024, None, "size 1.0 KiB is 1.0 KiB below the maximum 2.0 KiB"),
        (
            "latency_p95",
            {"max_ratio": 0.5},
            0.003,
            0.002,
            "latency_p95 3 ms is 1.5 times the source's 2 ms; at most 0.5 times allowed",
        ),
    ],
)
def test_reason(
    metric: str, gate: dict[str, Any], value: float, source: float, reason: str
) -> None:
    assert only(metric, gate, value, source).reason.startswith(reason)


def test_every_rule_of_every_gate_gets_a_verdict() -> None:
    chosen = gates(accuracy={"min": 0.9, "max_drop": "1 pt"}, size={"max": "1 KiB"})
    verdicts = judge(chosen, figures(source={"accuracy": 1.0}, accuracy=0.95, size=10))
    assert [(v.metric, v.rule, v.passed) for v in verdicts] == [
        ("accuracy", "min: 0.9", True),
        ("accuracy", "max_drop: 1 pt", False),
        ("size", "max: 1 KiB", True),
    ]
    assert judge(gates(), figures()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accuracy": {}}, r"needs a limit: min, max, max_drop.*\$\.accuracy"),
        ({"accuracy": {"max_drop": 1}}, r"\$\.accuracy\.max_drop"),
        ({"accuracy": {"max_drop": "1"}}, r"\$\.accuracy\.max_drop"),
        ({"accuracy": {"max_drop": "1 %"}}, r"\$\.accuracy\.max_drop"),
        ({"accuracy": {"max_drop": "-1 pt"}}, r"\$\.accuracy\.max_drop"),
        ({"accuracy": {"min": 95}}, r"<= 1.0 - at `\$\.accuracy\.min"),
        ({"accuracy": {"min": "2 ms"}}, r"\$\.accuracy\.min"),
        ({"latency_p95": {"max": 2}}, r"\$\.latency_p95\.max"),
        ({"latency_p95": {"max": "2 KiB"}}, r"\$\.latency_p95\.max"),
        ({"latency_p95": {"max": "2 parsecs"}}, r"\$\.latency_p95\.max"),
        ({"latency_p95": {"max_ratio": 0}}, "> 0"),
        ({"size": {"max": 200}}, r"\$\.size\.max"),
        ({"size": {"max": "much"}}, r"\$\.size\.max"),
        ({"recall": {"min": 1}}, "unknown field `recall`"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        gates(**options)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, []),
        ({"accuracy": {"min": 0.9}, "size": {"max": "1 B"}}, []),
        ({"accuracy": {"min": 0.9, "max_drop": "1 pt"}}, ["accuracy.max_drop"]),
        ({"agreement": {"min": 0.9}}, ["agreement.min"]),
        ({"latency_p50": {"max_ratio": 2.0}}, ["latency_p50.max_ratio"]),
    ],
)
def test_needs_baseline(options: dict[str, Any], needed: list[str]) -> None:
    assert needs_baseline(gates(**options)) == needed


@pytest.mark.parametrize(
    ("options", "measured", "message"),
    [
        ({"accuracy": {"min": 0.9}}, figures(), "the result's accuracy"),
        ({"size": {"max_ratio": 1.0}}, figures(size=1), "the source's size"),
        ({"size": {"max_ratio": 1.0}}, figures(size=1, source={"size": None}), "not measured"),
    ],
)
def test_figure_not_measured(
    options: dict[str, Any], measured: dict[str, Any], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        judge(gates(**options), measured)


counts = st.integers(1, 10_000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))
)


@given(counts, st.integers(0, 200))
def test_drop_in_points_equals_exact_arithmetic(
    sample: tuple[int, int, int], tenths_of_a_point: int
) -> None:
    n, right, source_right = sample
    gate = {"max_drop": f"{tenths_of_a_point / 10} pt"}
    verdict = only("accuracy", gate, right / n, source_right / n)
    assert verdict.passed == ((source_right - right) * 1000 <= tenths_of_a_point * n)


@given(counts, st.integers(0, 100))
def test_relative_drop_equals_exact_arithmetic(sample: tuple[int, int, int], percent: int) -> None:
    n, right, source_right = sample
    verdict = only("accuracy", {"max_drop": f"{percent} %rel"}, right / n, source_right / n)
    assert verdict.passed == (right * 100 >= source_right * (100 - percent))


@given(st.floats(1e-9, 1e3), st.floats(1e-9, 1e3))
def test_margin_is_the_distance_to_the_limit(value: float, limit: float) -> None:
    verdict = only("latency_p50", {"max": f"{limit!r} s"}, value)
    assert verdict.passed == (verdict.margin >= 0)
    assert verdict.threshold - verdict.value == pytest.approx(verdict.margin, abs=1e-6 * limit)
