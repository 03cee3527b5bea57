"""Which channels go, for every way to rank them and every limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.errors import StepError
from taxiway.optimize.channels.choice import Limits, choose, remaining
from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.graph import ChannelGraph, finish
from taxiway.optimize.channels.layers import Layer
from taxiway.optimize.channels.signal import Constant


def chain(*sizes: int) -> ChannelGraph:
    """Dense layers `d0`, `d1`, ... of these sizes, one after the other; the last one stays."""
    flow = Flow()
    taken = None
    for at, size in enumerate(sizes):
        made = flow.numbering.fresh(size)
        before = 3 if taken is None else len(taken)
        axes = {1: (made, "out")} | ({0: (taken, "in")} if taken is not None else {})
        flow.use(Constant(f"w{at}", (before, size)), axes, f"d{at}")  # type: ignore[arg-type]
        flow.layer(Layer(f"d{at}", "Dense", f"w{at}", 1))
        taken = made
    flow.protect(taken, "it is the output")
    return finish(flow, (), ())


def scores(graph: ChannelGraph, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).random(graph.numbers)


def left(graph: ChannelGraph, cut: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    return [int((~cut[group.channels]).sum()) for group in graph.groups]


@pytest.mark.parametrize(
    ("share", "limits", "expected"),
    [
        (0.5, Limits(), [5, 10, 20]),
        (0.25, Limits(), [8, 15, 30]),
        (0.5, Limits(multiple=4), [4, 8, 16]),
        (0.5, Limits(least=8), [8, 9, 18]),
        (0.9, Limits(), [1, 2, 4]),
    ],
    ids=["half", "a quarter", "multiples of 4", "at least 8", "nine tenths"],
)
def test_every_group_gives_the_same_share(
    share: float, limits: Limits, expected: list[int]
) -> None:
    graph = chain(10, 20, 40, 2)
    at_most = np.ceil(graph.channels * (1 - share) - 1e-9)
    cut = choose(graph, scores(graph), "channels", at_most, False, limits)
    found = left(graph, cut)
    assert sum(found) <= at_most
    assert found == expected


@given(
    st.lists(st.integers(2, 24), min_size=1, max_size=4),
    st.sampled_from(["channels", "macs", "parameters"]),
    st.floats(0.05, 0.95),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 99),
)
def test_the_goal_is_met_or_said_to_be_impossible(
    sizes: list[int],
    metric: str,
    share: float,
    together: bool,
    least: int,
    multiple: int,
    seed: int,
) -> None:
    graph, limits = chain(*sizes, 3), Limits(least, multiple)
    whole = remaining(graph, metric, graph.nothing())  # type: ignore[arg-type]
    at_most = whole * (1 - share)
    values = scores(graph, seed)
    try:
        cut = choose(graph, values, metric, at_most, together, limits)  # type: ignore[arg-type]
    except StepError as error:
        assert "cannot be cut" in error.message
        floor = graph.nothing()
        for group in graph.groups:
            size = len(group.channels)
            kept = limits.left(size, 0)
            floor[group.channels[: size - kept]] = True
        assert remaining(graph, metric, floor) > at_most  # type: ignore[arg-type]
        return
    assert remaining(graph, metric, cut) <= at_most  # type: ignore[arg-type]
    for group in graph.groups:
        size, kept = len(group.channels), int((~cut[group.channels]).sum())
        assert kept >= min(size, least)
        assert kept % multiple == 0 or kept == size
        gone, stays = group.channels[cut[group.channels]], group.channels[~cut[group.channels]]
        if len(gone):
            assert values[gone].max() <= values[stays].min()


def test_one_list_takes_the_least_of_all_groups() -> None:
    graph = chain(4, 4, 2)
    values = np.zeros(graph.numbers)
    first, second = graph.groups
    values[first.channels] = [1, 1, 1, 1]
    values[second.channels] = [0.1, 0.1, 9, 9]
    cut = choose(graph, values, "channels", 6, True, Limits())
    assert left(graph, cut) == [4, 2]


def test_what_is_impossible_says_what_was_possible() -> None:
    graph = chain(10, 10, 2)
    with pytest.raises(
        StepError, match=r"80.0% of the channels cannot be cut.*at most 60.0%"
    ) as caught:
        choose(graph, scores(graph), "channels", 4, False, Limits(least=4))
    assert caught.value.hint and "share=0.6" in caught.value.hint
