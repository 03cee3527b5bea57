"""Gates: the limits a recipe sets on what was measured, typed and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from taxiway import plugins
from taxiway.plugins.quantity import Dimension, parse

Threshold = float | str
Ratio = Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="Times the source's.")]

EXAMPLES: dict[Dimension, str] = {
    "ratio": "'95 %' or 0.95",
    "points": "'1 pt' (percentage points)",
    "relative": "'1 %rel' (of the source's value)",
    "time": "'2 ms'",
    "bytes": "'200 KiB'",
}


class Gate(plugins.Config, frozen=True):
    """Limits on one metric; at least one of its fields is set."""

    def __post_init__(self) -> None:
        if not any(True for _ in self.rules()):
            raise ValueError(f"a gate needs a limit: {', '.join(self.__struct_fields__)}")

    def rules(self) -> Iterator[tuple[str, Threshold]]:
        """The limits that are set, by the name of their rule."""
        for rule in self.__struct_fields__:
            threshold = getattr(self, rule)
            if threshold is not None:
                yield rule, threshold


class RatioGate(Gate, frozen=True):
    """Limits on a fraction of the samples, such as accuracy."""

    min: Annotated[Threshold | None, Meta(description="At least, such as '95 %' or 0.95.")] = None
    max: Annotated[Threshold | None, Meta(description="At most, such as '95 %' or 0.95.")] = None
    max_drop: Annotated[
        Threshold | None,
        Meta(description="Below the source's at most: '1 pt' absolute, '0.5 %rel' relative to it."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for rule, threshold in self.rules():
            if rule == "max_drop":
                check(rule, threshold, "points", "relative")
            elif check(rule, threshold, "ratio") > 1:
                hint = f"; write '{threshold:g} %'" if isinstance(threshold, float) else ""
                raise ValueError(f"{rule}: {show(threshold)} is more than 100 %{hint}")


class TimeGate(Gate, frozen=True):
    """Limits on a duration."""

    max: Annotated[Threshold | None, Meta(description="At most, such as '2 ms'.")] = None
    max_ratio: Ratio = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max is not None:
            check("max", self.max, "time")


class SizeGate(Gate, frozen=True):
    """Limits on a number of bytes."""

    max: Annotated[Threshold | None, Meta(description="At most, such as '200 KiB'.")] = None
    max_ratio: Ratio = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max is not None:
            check("max", self.max, "bytes")


class Gates(plugins.Config, frozen=True):
    """What the result must keep to be accepted; every gate is optional."""

    accuracy: Annotated[
        RatioGate | None, Meta(description="Share of the samples whose class is the label.")
    ] = None
    agreement: Annotated[
        RatioGate | None, Meta(description="Share of the samples with the source's own class.")
    ] = None
    latency_p50: Annotated[
        TimeGate | None, Meta(description="Median time of one sample on one thread.")
    ] = None
    latency_p95: Annotated[
        TimeGate | None, Meta(description="95th percentile of the time of one sample.")
    ] = None
    size: Annotated[SizeGate | None, Meta(description="Bytes of the model on disk.")] = None
    peak_memory: Annotated[
        SizeGate | None, Meta(description="Highest resident memory of the process.")
    ] = None

    def active(self) -> Iterator[tuple[str, Gate]]:
        """The gates that are set, by metric."""
        for metric in self.__struct_fields__:
            gate = getattr(self, metric)
            if gate is not None:
                yield metric, gate


def needs_baseline(gates: Gates) -> list[str]:
    """The rules that compare with the source, such as `accuracy.max_drop`."""
    return [
        f"{metric}.{rule}"
        for metric, gate in gates.active()
        for rule, _ in gate.rules()
        if metric == "agreement" or rule in ("max_drop", "max_ratio")
    ]


def check(rule: str, threshold: Threshold, *dimensions: Dimension) -> float:
    """The threshold's value in SI units. Raises ValueError where its unit does not fit the rule."""
    quantity = parse(threshold)
    expected = " or ".join(EXAMPLES[dimension] for dimension in dimensions)
    if quantity.dimension not in dimensions:
        bare = isinstance(threshold, float) or threshold.strip()[-1:].isdigit()
        found = "has no unit" if bare else "has a unit that does not fit"
        raise ValueError(f"{rule}: {show(threshold)} {found}; write {expected}")
    if quantity.value < 0:
        raise ValueError(f"{rule}: {show(threshold)} is negative; write {expected}")
    return quantity.value


def show(threshold: Threshold) -> str:
    """A threshold as it is written in a recipe."""
    return f"{threshold:g}" if isinstance(threshold, float) else threshold
