"""Gates: the limits a recipe sets on what was measured, typed and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from taxiway import plugins

Threshold = float | str
Share = Annotated[
    Annotated[float, Meta(ge=0, le=1)]
    | Annotated[str, Meta(pattern=r"^\d{1,3}(\.\d+)?\s*%$")]
    | None,
    Meta(extra_json_schema={"x-quantity": "a share such as 0.95 or '95 %'"}),
]
Drop = Annotated[
    str,
    Meta(
        pattern=r"^\d+(\.\d+)?\s*(pt|%rel)$",
        extra_json_schema={
            "x-quantity": "'1 pt' (percentage points) or '1 %rel' (of the source's value)"
        },
    ),
]
Ratio = Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="Times the source's.")]


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

    min: Annotated[Share, Meta(description="At least, such as '95 %' or 0.95.")] = None
    max: Annotated[Share, Meta(description="At most, such as '95 %' or 0.95.")] = None
    max_drop: Annotated[
        Drop | None,
        Meta(description="Below the source's at most: '1 pt' absolute, '0.5 %rel' relative to it."),
    ] = None


class TimeGate(Gate, frozen=True):
    """Limits on a duration."""

    max: Annotated[plugins.Duration | None, Meta(description="At most, such as '2 ms'.")] = None
    max_ratio: Ratio = None


class SizeGate(Gate, frozen=True):
    """Limits on a number of bytes."""

    max: Annotated[plugins.ByteSize | None, Meta(description="At most, such as '200 KiB'.")] = None
    max_ratio: Ratio = None


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


def show(threshold: Threshold) -> str:
    """A threshold as it is written in a recipe."""
    return f"{threshold:g}" if isinstance(threshold, float) else threshold
