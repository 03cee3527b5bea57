"""What a plugin is: typed options, declared formats, and one method `run`.

A plugin for one format defines `run` itself. A plugin that works on several formats names one
implementation per input format; the planner picks by the format that reaches the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from taxiway.model import Format, Model
from taxiway.plugins.config import Config
from taxiway.plugins.context import Context
from taxiway.plugins.dataset import Dataset, Selection

Property = Literal[
    "trained", "pruned", "channels pruned", "clustered", "quantized", "float16", "fused", "sparse"
]
"""What a pass leaves in a model; the table of orders (docs/passes.md) is made of these."""


class Step:
    """One section of a recipe made concrete.

    accepts, produces: formats; a source and a converter name what they produce, a pass keeps its own.
    revision: part of the cache key; raise it when the same options give other bytes.
    libraries: distributions whose versions enter the cache key.
    runs_model: the step executes its model, whose runtime's versions then enter the cache key, too.
    machine_dependent: the result depends on the CPU, which then enters the cache key.
    implementations: input format -> `module:Class`, for a plugin that works on several formats.
    not_in_key: options that do not change the result, such as gates or output names.
    seeded: the result depends on `context.seed`, which then enters the cache key.
    approximates: the step changes what the model computes on purpose, as pruning does: its proof
    measures the difference, refuses other shapes, dtypes and NaN, and leaves the rest to the gates.
    trains: the step fits weights: its process gets all cores, and none that measured anything before.
    needs: which earlier results the step gets, and depends on: `model`,
    `reference`, `baseline`, `evaluation`, `chain`.
    """

    section: ClassVar[str]
    Config: ClassVar[type[Config]]
    revision: ClassVar[int] = 1
    accepts: ClassVar[frozenset[Format]] = frozenset()
    produces: ClassVar[Format | None] = None
    libraries: ClassVar[tuple[str, ...]] = ()
    runs_model: ClassVar[bool] = False
    machine_dependent: ClassVar[bool] = False
    implementations: ClassVar[Mapping[Format, str]] = {}
    not_in_key: ClassVar[frozenset[str]] = frozenset()
    seeded: ClassVar[bool] = False
    approximates: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({"model"})

    def reads(self, options: Any) -> tuple[Selection, ...]:
        """The parts of the dataset that this step reads with these options."""
        return ()

    def files(self, options: Any) -> tuple[Path, ...]:
        """What the step reads besides its input paths; the content enters the cache key."""
        return ()

    def lacks(self, path: Path, options: Any) -> tuple[str, ...]:
        """What the model at `path` has and this step cannot take, such as `Unique (2 nodes)`; of a pass,
        why it cannot be applied.

        Asked by the plan: it reads the file's structure, imports no framework and runs nothing.
        """
        return ()

    def distributions(self, options: Any) -> tuple[str, ...]:
        """Installed distributions, besides `libraries`, that these options make the step use.

        Asked when a plan is made: it imports none of them.
        """
        return ()

    def check(self, options: Any) -> None:
        """Raise ValueError where options cannot work with this implementation (a plan-time error)."""


class Source(Step):
    """Brings a trained model in: checks it statically, then copies it into the work folder."""

    section = "source"

    def run(self, options: Any, context: Context) -> Model:
        raise NotImplementedError


class DataSource(Step):
    """Opens a dataset. Runs in the parent process, too: no heavy import, no foreign code."""

    section = "data"

    def open(self, options: Any, seed: int) -> Dataset:
        raise NotImplementedError


class Target(Step):
    """A format that a recipe converts to, and the options of that. Converters lead there.

    produces: the format.
    """

    section = "convert"


class Converter(Step):
    """One way from one format to another: an edge of the graph in which the planner finds paths.

    accepts: one format. Config: that of the target it leads to; a hop in the middle of a path gets
    the defaults.
    cost: how much is lost or risked on this way, compared with others; the cheapest path is tried
    first, the next one where it fails or its result does not prove equal.
    """

    section = "converter"
    cost: ClassVar[float] = 1.0

    def run(self, model: Model, options: Any, context: Context) -> Model:
        raise NotImplementedError


class Pass(Step):
    """Changes a model within its format.

    establishes: what holds after it that later passes may spoil.
    undoes: what an earlier pass established and this one would lose -> why; an error when planned.
    weakens: what it makes less of -> why; a warning when planned.
    renews: its result is another network: what earlier passes promised of single weights ends here.
    calibrates: it sets ranges by samples, the first of its `reads`: the plan has them examined before.
    instead: what to try where the ledger finds that it bought no time, in a few words.
    """

    section = "optimize"
    establishes: ClassVar[frozenset[Property]] = frozenset()
    undoes: ClassVar[Mapping[Property, str]] = {}
    weakens: ClassVar[Mapping[Property, str]] = {}
    renews: ClassVar[bool] = False
    calibrates: ClassVar[bool] = False
    instead: ClassVar[str | None] = None

    def run(self, model: Model, options: Any, context: Context) -> Model:
        raise NotImplementedError


class Calibration(Step):
    """Examines the samples by which a pass will set ranges, on the model that the pass gets.

    The figures are JSON and hold `warnings`, each a sentence for people. Samples that no range can be
    learnt from are a StepError. The planner fills in the options `split`, `samples`, `labels` and `test`
    where they are null.
    """

    section = "calibration"
    runs_model = True

    def run(self, model: Model, options: Any, context: Context) -> dict[str, Any]:
        raise NotImplementedError


class Parity(Step):
    """Proves that a step's result is the model that went into the step, on the same samples.

    It gets the result as its model and the step's input as `context.reference`. The figures are
    JSON and hold `equal` (the verdict) and `reason` (one sentence for people); files, such as a
    reproducer, go to the work folder. A result that is not equal is no error of this step: the
    caller decides. `options.split` names the split that is read; the planner fills in the recipe's
    where it is null. `options.allow_random` lets a recipe without data go on.
    """

    section = "parity"
    runs_model = True
    needs = frozenset({"model", "reference"})

    def run(self, model: Model, options: Any, context: Context) -> dict[str, Any]:
        raise NotImplementedError


class Evaluate(Step):
    """Measures one model: first the source, where the options compare with it, then the result.

    The figures are JSON: `{"n": ..., metric: value}` with seconds, bytes and fractions as units.
    What the result's evaluation needs of the source's, such as predictions, goes to a file in the
    work folder. `options.gates` is judged by the caller.
    """

    section = "evaluate"
    runs_model = True
    not_in_key = frozenset({"gates", "baseline"})
    needs = frozenset({"model", "baseline"})

    def compares(self, options: Any) -> bool:
        """Whether the source is measured, too."""
        return False

    def quality(self, model: Model, options: Any, context: Context) -> dict[str, Any]:
        """The figures that tell how good the answers are, without time and memory; `n` among them.

        Nothing where the plugin does not part the two.
        """
        return {}

    def run(self, model: Model, options: Any, context: Context) -> dict[str, Any]:
        raise NotImplementedError


class Ledger(Step):
    """Says what each pass bought: every model of the run beside the one before it, in one sitting.

    It gets them as `context.chain`, and what the evaluation said of the first and the last. The figures
    are JSON: `{"rows": [...], "warnings": [...]}`. `options.split` and `options.evaluate` are filled in
    by the planner where they are null.
    """

    section = "ledger"
    runs_model = True
    machine_dependent = True
    needs = frozenset({"model", "baseline", "evaluation", "chain"})

    def run(self, model: Model, options: Any, context: Context) -> dict[str, Any]:
        raise NotImplementedError


class Deploy(Step):
    """Writes and verifies a deployable folder in `context.workdir`.

    excludes: options of `convert` that make what this target cannot run -> why.
    """

    excludes: ClassVar[Mapping[str, str]] = {}

    section = "deploy"
    runs_model = True
    needs = frozenset({"model", "evaluation"})

    def run(self, model: Model, options: Any, context: Context) -> None:
        raise NotImplementedError
