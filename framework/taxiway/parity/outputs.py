"""Parity of outputs: the same samples through the model before a step and after it."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from taxiway import plugins
from taxiway.errors import StepError
from taxiway.model import FORMATS, Model
from taxiway.plugins import Context, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.parity.compare import Judgement
    from taxiway.parity.tolerance import Precision

    Tensors = Mapping[str, np.ndarray[Any, Any]]

REPRODUCER = "reproducer"
"""Folder in the work folder for the one-operator reproducer of a divergence."""

Positive = Annotated[int, Meta(ge=1)]
Limit = Annotated[float, Meta(gt=0)]


class Tolerances(plugins.Config, frozen=True):
    """Relative errors that are accepted, by precision; null: measured (docs/parity.md)."""

    fp32: Annotated[Limit | None, Meta(description="Both models compute in float32.")] = None
    fp16: Annotated[Limit | None, Meta(description="One of them has float16.")] = None
    bf16: Annotated[Limit | None, Meta(description="One of them has bfloat16.")] = None
    int16: Annotated[Limit | None, Meta(description="One has 16-bit activations.")] = None
    int8: Annotated[Limit | None, Meta(description="One has 8-bit integers.")] = None
    int4: Annotated[Limit | None, Meta(description="One has 4-bit weights.")] = None


class Outputs(plugins.Parity):
    """Compares every output of two models on real samples, relative to the output's own scale."""

    accepts = frozenset(FORMATS)
    seeded = True

    class Config(plugins.Config, frozen=True, tag_field="type", tag="outputs"):
        """Each output's error relative to its scale, and agreement where it holds class scores."""

        split: Annotated[
            str | None, Meta(description="The split the samples come from; null: the recipe's own.")
        ] = None
        samples: Annotated[Positive, Meta(description="Rows that both models get.")] = 32
        allow_random: Annotated[
            bool,
            Meta(description="Random inputs where the recipe has no data; the report says so."),
        ] = False
        tolerances: Annotated[
            Tolerances,
            Meta(description="Limits of your own for an output's relative error."),
        ] = msgspec.field(default_factory=Tolerances)

    def reads(self, options: Config) -> tuple[Selection, ...]:
        return (Selection(options.split, options.samples),) if options.split else ()

    def run(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        from taxiway.model.runners import runtime_of
        from taxiway.parity import loadable
        from taxiway.parity.precision import precision_of
        from taxiway.parity.tolerance import between

        reference = context.reference
        assert reference is not None
        precision = between(
            precision_of(reference),
            precision_of(model),
            one_runtime=runtime_of(reference.format) == runtime_of(model.format),
        )
        given = getattr(options.tolerances, precision.name)
        if context.approximates and given is None:
            given = float("inf")
        found = loadable.fault(model)
        if found is not None:
            return _refused(found, precision.name)
        inputs, random = self._inputs(reference, options, context)
        return _Proof(reference, model, inputs, random, precision, given, context).figures()

    def _inputs(self, reference: Model, options: Config, context: Context) -> tuple[Tensors, bool]:
        """The samples, and whether they are random."""
        from taxiway.parity.samples import real_samples

        if context.data is not None and options.split is not None:
            (selection,) = self.reads(options)
            return real_samples(reference.signature, context.data, selection), False
        if options.allow_random:
            return _random(reference, context.seed, options.samples), True
        raise StepError(
            "there are no samples to prove the result with",
            "add `data`, or accept random inputs: parity.allow_random=true",
        )


def _random(reference: Model, seed: int, most: int) -> Tensors:
    """The first random samples, at most `most`, that the reference takes and answers with finite numbers."""
    import numpy as np

    from taxiway.model.runners import open_runner
    from taxiway.parity.observe import leaves
    from taxiway.parity.samples import BATCH, bound, random_samples

    runner = open_runner(reference)
    taken: Tensors | None = None
    failure: StepError | None = None
    for inputs in random_samples(reference.signature, seed, min(most, BATCH)):
        try:
            outputs = leaves(runner.predict(bound(reference.signature, inputs)))
        except StepError as error:
            failure = failure or error
            continue
        taken = taken if taken is not None else inputs
        if all(o.dtype.kind not in "fc" or np.isfinite(o).all() for o in outputs.values()):
            return inputs
    if taken is None:
        raise StepError(
            f"no random input suits the model: {failure.message if failure else 'it takes none'}",
            "give samples: `data` in the recipe, or --data FILE.npz",
        )
    return taken


def _refused(reason: str, precision: str) -> dict[str, Any]:
    return {
        "equal": False,
        "reason": reason,
        "n": 0,
        "random": False,
        "precision": precision,
        "outputs": [],
        "divergence": None,
    }


class _Proof:
    """One comparison: two models, the samples, and the precision in which they can be equal."""

    def __init__(
        self,
        reference: Model,
        model: Model,
        inputs: Tensors,
        random: bool,
        precision: Precision,
        given: float | None,
        context: Context,
    ) -> None:
        self._reference, self._model, self._inputs = reference, model, inputs
        self._random, self._precision, self._given = random, precision, given
        self._context = context

    def figures(self) -> dict[str, Any]:
        from taxiway.parity.samples import count

        made = _refused("", self._precision.name) | {
            "n": count(self._inputs),
            "random": self._random,
        }
        try:
            judged = self._judge()
        except _Failed as failed:
            return made | {"reason": failed.reason}
        made["outputs"] = [judgement.to_dict() for judgement in judged]
        wrong = [judgement for judgement in judged if not judgement.equal]
        if not wrong:
            return made | {"equal": True, "reason": self._agreed(judged)}
        worst = max(wrong, key=lambda judgement: judgement.excess)
        divergence, where = self._divergence(worst)
        reason = f"{_reason(worst, len(wrong), self._precision)}; {where}"
        return made | {"reason": reason, "divergence": divergence}

    def _judge(self) -> list[Judgement]:
        from taxiway.parity.compare import judge, pair
        from taxiway.parity.observe import observe, with_kernels
        from taxiway.parity.perturb import perturbed

        reference, model, precision = self._reference, self._model, self._precision
        variants = perturbed(self._inputs, precision, self._context.seed)
        self._tick(0)
        expected = observe(reference, self._inputs, variants, precision)
        self._tick(1)
        expected = with_kernels(expected, reference, self._inputs, precision)
        self._tick(2)
        try:
            actual = observe(model, self._inputs, (), precision)
        except StepError as error:
            raise _Failed(f"it does not run on the reference's samples: {error.message}") from error
        self._tick(3)
        if model.format != reference.format:
            actual = with_kernels(actual, model, self._inputs, precision)
        self._tick(4)
        pairs = pair(expected, actual)
        if pairs is None:
            names = [", ".join(o.name for o in side) for side in (actual, expected)]
            raise _Failed(f"it gives outputs {names[0]}; expected {names[1]}")
        return [judge(a, b, precision, self._given) for a, b in pairs]

    def _tick(self, done: int) -> None:
        self._context.progress(done, 4, "runs")

    def _agreed(self, judged: list[Judgement]) -> str:
        from taxiway.parity.samples import count

        worst = max(judged, key=lambda judgement: judgement.error.total, default=None)
        if worst is None:
            return "the model has no output"
        kind = "random" if self._random else "real"
        return (
            f"{len(judged)} output{'s' if len(judged) != 1 else ''} equal on {count(self._inputs)} "
            f"{kind} samples "
            f"in {self._precision.name}: largest relative error {worst.error.total:.2g}, "
            f"tolerance {worst.limit.total:.2g}"
        )

    def _divergence(self, worst: Judgement) -> tuple[dict[str, Any] | None, str]:
        """Where the error comes from, as the tracer names it, and in words."""
        from taxiway.parity.divergence import first_divergence
        from taxiway.parity.samples import one_call

        try:
            found = first_divergence(
                self._reference,
                self._model,
                one_call(self._reference.signature, self._inputs, worst.worst_sample or 0),
                worst.limit.total or self._precision.floor,
                self._context.workdir / REPRODUCER,
            )
        except Exception as error:
            # The verdict stands without the place; the worker's log has the rest.
            traceback.print_exc()
            return None, f"where it begins could not be traced: {_first_line(error)}"
        if found is None:
            return None, "no single operator introduces it"
        plain = dict(_plain(msgspec.to_builtins(found)))
        return plain, _where(plain)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


class _Failed(Exception):
    """The comparison cannot be made, which is a verdict: the result is not the model."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _reason(worst: Judgement, count: int, precision: Precision) -> str:
    text = f"output '{worst.name}' {worst.fault}"
    if count > 1:
        text += f" ({count} outputs differ)"
    perturbed, kernels = worst.noise.perturbed, worst.noise.kernels
    if perturbed and perturbed.total > precision.cap:
        text += (
            f"; the reference itself moves by {perturbed.total:.2g} where its inputs are off by "
            f"one unit of {precision.name}"
        )
    elif kernels and kernels.total > worst.limit.total:
        text += (
            f"; a runtime's own kernels differ from each other by {kernels.total:.2g} on one file, "
            "so the runtime may be at fault"
        )
    return text


def _where(divergence: Mapping[str, Any]) -> str:
    operator = f"{divergence['op_type']} '{divergence['operator']}'"
    if divergence["introduced"] is None:
        return f"the first operator that has no counterpart in the reference is {operator}"
    return (
        f"the first operator that introduces an error is {operator} "
        f"(introduced {divergence['introduced']:.2g}, inherited {divergence['inherited']:.2g})"
    )


def _plain(value: Any) -> Any:
    """JSON knows no infinity and no NaN: None in their place."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
