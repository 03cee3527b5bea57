"""Options of the accuracy-driven fallback."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from taxiway.optimize.operators import Precision
from taxiway.plugins import CALIBRATION, Config, Selection

Points = Annotated[
    str,
    Meta(
        pattern=r"^\d+(\.\d+)?\s*pt$",
        extra_json_schema={"x-quantity": "percentage points, such as '0.5 pt'"},
    ),
]


class Fallback(Config, frozen=True):
    """How much may be lost, and what that is measured on."""

    max_drop: Annotated[
        Points, Meta(description="What the quantized model may lose against its input.")
    ]
    metric: Annotated[
        Literal["accuracy", "agreement"],
        Meta(
            description="accuracy needs labels; agreement is the share of samples with the input "
            "model's own class, and needs none."
        ),
    ] = "accuracy"
    split: Annotated[
        str,
        Meta(
            description="The split it is measured on. Not the test split: operators that are chosen "
            "on it make its figures too good."
        ),
    ] = CALIBRATION
    samples: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="At most this many rows for the last measurement; null for all."),
    ] = None
    subset: Annotated[
        int, Meta(ge=1, description="Rows that each operator's sensitivity is measured on.")
    ] = 64
    precision: Annotated[
        Precision | None,
        Meta(
            description="What the operators that stay are kept in. null: each in the fewest bytes that "
            "restore the metric, of int8 weights with float32 arithmetic, float16 and float32."
        ),
    ] = None
    output: Annotated[
        str | None,
        Meta(description="Output with the class scores; null for the first of real numbers."),
    ] = None

    def reads(self) -> tuple[Selection, ...]:
        return (
            Selection(
                self.split,
                self.samples,
                labels=self.metric == "accuracy",
                unlabelled="fallback.metric=agreement",
            ),
        )
