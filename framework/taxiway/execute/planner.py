"""From a recipe to its plan: formats order the steps, keys are computed, and nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from taxiway.compose.inputs import input_fields
from taxiway.compose.locate import quoted_option
from taxiway.compose.recipe import Recipe
from taxiway.compose.redact import redact_problems
from taxiway.errors import PluginError, Problem, RecipeError, TaxiwayError
from taxiway.execute.calibration import with_samples
from taxiway.execute.inputs import inputs_of, open_data
from taxiway.execute.keys import key_of, parts_of
from taxiway.execute.located import require_pins
from taxiway.execute.order import clashes
from taxiway.execute.plan import BASELINE, CHAIN, Plan, PlannedStep
from taxiway.execute.proof import NO_SAMPLES, with_evaluation, with_split
from taxiway.execute.route import Leg, NoRoute, as_problem, routes
from taxiway.fetch.downloads import WrongDigest
from taxiway.model import Format
from taxiway.plugins import PIN, Config, Plugin, Selection, Step, registry


def make_plan(recipe: Recipe, route: int = 0, store: Path | None = None) -> Plan:
    """Order the steps by their formats and compute their keys.

    route: which of the ways to convert is taken; 0 is the best. store: where a remote model without a
    pin is fetched to; None: the user's.
    Raises RecipeError, at the line, for an order that no format satisfies, a step without data, or
    options that its implementation cannot honour, and for a model that has no pin or another digest.
    """
    try:
        return _Planner(recipe, route, store).plan()
    except RecipeError as error:
        raise redact_problems(error, recipe.secrets) from None


@dataclass
class _Planner:
    recipe: Recipe
    route: int = 0
    store: Path | None = None
    routes: tuple[tuple[Format, ...], ...] = ()
    steps: list[PlannedStep] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    fingerprints: dict[Selection, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        source = self._plugin(("source",))
        start = source.step.produces
        assert start is not None, "a source names its format"
        self._add("source", ("source",), source, None, start, {})
        format, model = self._model_steps(start)
        for section, uses in (
            ("evaluate", {"model": model, "baseline": BASELINE}),
            ("ledger", {"model": model, "baseline": BASELINE, "evaluation": "evaluate"}),
            ("deploy", {"model": model, "evaluation": "evaluate"}),
        ):
            if section == "ledger":
                self._ledger(format, uses)
            elif self.recipe.section(section):
                plugin = self._plugin((section,))
                if section == "evaluate":
                    self._baseline(plugin, start)
                known = {step.name for step in self.steps}
                uses = {role: name for role, name in uses.items() if name in known}
                if section == "deploy":
                    self._excluded(plugin)
                if format in plugin.accepts:
                    self._add(section, (section,), plugin, format, None, uses)
                else:
                    self._wrong_format(section, plugin, format)
        if self.problems:
            raise RecipeError(self.problems)
        warnings = tuple(self.warnings)
        return Plan(self.recipe, tuple(self.steps), self.routes, self.route, warnings)

    def _baseline(self, plugin: Plugin, start: Format) -> None:
        """The source is measured by itself, so that another pass or gate does not measure it again."""
        step = plugin.implementation(start)
        if start in plugin.accepts and step.compares(self.recipe.typed(("evaluate",))):
            self._add(BASELINE, ("evaluate",), plugin, start, None, {"model": "source"})

    def _plugin(self, path: tuple[str, ...]) -> Plugin:
        options: Any = self.recipe.options
        for part in path:
            options = options[part]
        return registry().get(path[0], options["type"])

    def _model_steps(self, start: Format) -> tuple[Format, str]:
        """The conversion and the passes; gives the result's format and the step that makes it."""
        passes = {
            name: self._plugin(("optimize", name)) for name in self.recipe.section("optimize") or {}
        }
        convert = self.recipe.section("convert")
        target = self._plugin(("convert",)).step.produces if convert else None
        try:
            ways = routes(registry(), start, target, passes)
        except NoRoute as error:
            path, message, hint = as_problem(error)
            raise RecipeError([self.recipe.locator.problem(path, message, hint)]) from error
        self.routes = tuple(_formats(legs) for legs in ways)
        self.route = min(self.route, len(ways) - 1)
        legs = ways[self.route]
        self._order(legs)
        if convert and not any(leg.name == "convert" for leg in legs):
            self._refuse_options(start)
        format, model = start, "source"
        for leg in legs:
            gives = leg.plugin.step.produces or leg.format
            if leg.name is None:
                name, path = f"convert.{gives}", ()
            elif leg.name == "convert":
                name, path = "convert", ("convert",)
            else:
                name, path = f"optimize.{leg.name}", ("optimize", leg.name)
            self._examine(leg, model)
            self._add(name, path, leg.plugin, leg.format, gives, {"model": model})
            self._prove(name, gives, {"model": name, "reference": model})
            format, model = gives, name
        return format, model

    def _order(self, legs: list[Leg]) -> None:
        for clash in clashes(legs):
            at = ("optimize", clash.later)
            problem = self.recipe.locator.problem(at, clash.message, clash.hint)
            if clash.kind == "undoes":
                self.problems.append(problem)
            else:
                self.warnings.append(replace(problem, severity="warning"))

    def _examine(self, leg: Leg, model: str) -> None:
        """A pass that sets ranges by samples comes after an examination of them."""
        if leg.plugin.section != "optimize" or not self.recipe.section("calibration"):
            return
        step, plugin = leg.plugin.implementation(leg.format), self._plugin(("calibration",))
        dataset = open_data(self.recipe)
        if not step.calibrates or dataset is None or leg.format not in plugin.accepts:
            return
        (selection, *_) = step.reads(self.recipe.typed(("optimize", str(leg.name))))
        given = self.recipe.typed(("calibration",))
        options = with_samples(given, selection, self.recipe, dataset)
        if options is not None:
            name = f"calibration.{leg.name}"
            self._add(name, ("calibration",), plugin, leg.format, None, {"model": model}, options)

    def _refuse_options(self, format: Format) -> None:
        """Nothing is converted where the source has the target's format already and no converter
        writes it anew: options of the conversion would be ignored."""
        options = self.recipe.typed(("convert",))
        default = type(options)()
        for option in options.__struct_fields__:
            if getattr(options, option) != getattr(default, option):
                message = f"convert.{option} has no effect: the source is {format} already"
                hint = "leave it out, or start from the model that the source was made from"
                at = ("convert", option)
                self.problems.append(self.recipe.locator.problem(at, message, hint))

    def _prove(self, name: str, format: Format, uses: Mapping[str, str]) -> None:
        """A conversion or a pass is followed by the proof that the model is still the same."""
        if not self.recipe.section("parity"):
            return
        plugin = self._plugin(("parity",))
        if format not in plugin.accepts:
            self._wrong_format("parity", plugin, format)
            return
        dataset = open_data(self.recipe)
        options = with_split(self.recipe.typed(("parity",)), self.recipe, dataset)
        if dataset is None and not getattr(options, "allow_random", False):
            pass_name = name.removeprefix("optimize.")
            where = ("convert",) if pass_name == name else ("optimize", pass_name)
            problem = self.recipe.locator.problem(where, *NO_SAMPLES)
            if all(problem.message != other.message for other in self.problems):
                self.problems.append(problem)
            return
        self._add(f"parity.{name}", ("parity",), plugin, format, None, uses, options)

    def _ledger(self, format: Format, uses: Mapping[str, str]) -> None:
        """A row for every model, where there is a pass; what the evaluation cannot read is said once."""
        wanted = self.recipe.section("ledger") and self.recipe.section("optimize")
        if not wanted or self.problems:
            return
        plugin = self._plugin(("ledger",))
        if format not in plugin.accepts:
            return
        hop = "convert."
        models = [s.name for s in self.steps if s.gives is not None and not s.name.startswith(hop)]
        known = {step.name for step in self.steps}
        roles = {role: name for role, name in uses.items() if name in known}
        roles |= {f"{CHAIN}{place}": name for place, name in enumerate(models)}
        options = self.recipe.typed(("ledger",))
        options = with_evaluation(
            with_split(options, self.recipe, open_data(self.recipe)), self.recipe
        )
        self._add("ledger", ("ledger",), plugin, format, None, roles, options)

    def _excluded(self, plugin: Plugin) -> None:
        """Options of the conversion that make what the deployment cannot run."""
        convert = self.recipe.section("convert") or {}
        for option, why in getattr(plugin.step, "excludes", {}).items():
            if convert.get(option):
                message = f"deploy '{plugin.name}' cannot run the result: {why}"
                hint = f"convert.{option}=false, or deploy=null"
                problem = self.recipe.locator.problem(("convert", option), message, hint)
                self.problems.append(problem)

    def _wrong_format(self, section: str, plugin: Plugin, format: Format) -> None:
        fits = [
            name for name, other in registry().usable(section).items() if format in other.accepts
        ]
        accepted = ", ".join(sorted(plugin.accepts))
        message = f"{section} '{plugin.name}' takes {accepted}, but the recipe's result is {format}"
        hint = f"{section}={fits[0]} fits" if fits else f"convert to one of {accepted}"
        self.problems.append(self.recipe.locator.problem((section, "type"), message, hint))

    def _add(
        self,
        name: str,
        path: tuple[str, ...],
        plugin: Plugin,
        takes: Format | None,
        gives: Format | None,
        uses: Mapping[str, str],
        options: Config | None = None,
    ) -> None:
        if options is None:
            options = self.recipe.typed(path) if path else plugin.step.Config()
        step: Step = plugin.implementation(takes)
        where = path or (name.split(".")[0],)
        before = tuple(self.steps)
        fields = input_fields(plugin.step.Config)

        def parts_with(known: dict[Selection, str]) -> dict[str, Any]:
            inputs = inputs_of(self.recipe, step, options, uses, before, known)
            return parts_of(plugin, step, takes, options, fields, inputs, self.recipe.common.seed)

        require_pins(self.recipe, where, options, self.store)
        try:
            step.check(options)
            parts = parts_with(self.fingerprints)
        except WrongDigest as error:
            problem = self.recipe.locator.problem((*where, PIN), str(error), error.hint)
            raise RecipeError([replace(problem, refused=True)]) from error
        except (ValueError, TaxiwayError) as error:
            if isinstance(error, RecipeError | PluginError):
                raise
            hint = error.hint if isinstance(error, TaxiwayError) else None
            at = self._option(where, str(error))
            self.problems.append(
                self.recipe.locator.problem(at, f"{'.'.join(where)}: {error}", hint)
            )
            parts = parts_of(plugin, step, takes, options, (), {}, self.recipe.common.seed)
        self.steps.append(
            PlannedStep(
                name,
                plugin,
                options,
                takes,
                gives,
                uses,
                parts,
                key_of(parts),
                lambda: parts_with({}),
            )
        )

    def _option(self, path: tuple[str, ...], message: str) -> tuple[str, ...]:
        """The option that a message quotes: the step's own, or one of the data section; else the step."""
        for section in (path, ("data",)):
            options: Any = self.recipe.options
            for part in section:
                options = options.get(part) or {}
            option = quoted_option(options, message)
            if option:
                return (*section, *option)
        return path


def _formats(legs: list[Leg]) -> tuple[Format, ...]:
    """The formats on the way of the conversion, the first and the last included."""
    hops = [leg for leg in legs if leg.plugin.section == "converter"]
    return (*(leg.format for leg in hops), *(leg.plugin.step.produces or "" for leg in hops[-1:]))
