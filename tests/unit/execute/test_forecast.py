"""What `plan` says of each step before a run: cached, to run and why, or blocked by a gate."""

from __future__ import annotations

from pathlib import Path

import pytest

import taxiway
from taxiway.errors import GateError
from taxiway.execute import keys
from taxiway.execute.forecast import forecast
from taxiway.execute.history import History
from taxiway.execute.store import Store

pytestmark = pytest.mark.slow
PASS = "optimize.quantize_static"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, onnx_recipe_files: Path) -> Store:
    """The store after a run."""
    folder = tmp_path_factory.mktemp("run")
    taxiway.load(onnx_recipe_files).run(output=folder / "runs", store=folder / "store")
    return Store(folder / "store")


def states(recipe: Path, store: Store, *overrides: str) -> dict[str, tuple[str, str]]:
    plan = taxiway.load(recipe, overrides).plan()
    return {f.step.name: (f.state, f.why) for f in forecast(plan, store)}


def test_before_any_run_every_step_runs(onnx_recipe: Path, tmp_path: Path) -> None:
    found = states(onnx_recipe, Store(tmp_path / "empty"))
    assert set(found.values()) == {("run", "first run")}


def test_after_a_run_every_step_is_cached(onnx_recipe: Path, store: Store) -> None:
    assert set(states(onnx_recipe, store).values()) == {("cached", "")}


UPSTREAM = ("run", "a step before it changed")


@pytest.mark.parametrize(
    ("overrides", "runs"),
    [
        (
            [f"{PASS}.calibration.samples=33"],
            {
                "calibration.quantize_static": ("run", "options.samples: 32 -> 33"),
                PASS: ("run", "inputs.data.calibration inputs: "),
                f"parity.{PASS}": UPSTREAM,
                "evaluate": UPSTREAM,
                "ledger": UPSTREAM,
                "deploy": UPSTREAM,
            },
        ),
        (
            ["evaluate.batch_size=8"],
            {
                "evaluate.source": ("run", "options.batch_size: 64 -> 8"),
                "evaluate": ("run", "options.batch_size: 64 -> 8"),
                "ledger": ("run", "options.evaluate.batch_size: 64 -> 8"),
                "deploy": UPSTREAM,
            },
        ),
        (
            ["evaluate.gates.accuracy.max_drop=21 pt"],
            {"deploy": ("run", "inputs.gates.accuracy.max_drop: 20 pt -> 21 pt")},
        ),
        (["description=other"], {"deploy": UPSTREAM}),
        (["+optimize@optimize.again=simplify"], {"optimize.again": ("run", "new step")}),
    ],
    ids=["pass", "evaluation", "gate", "description", "new pass"],
)
def test_a_step_to_run_says_why(overrides, runs, onnx_recipe: Path, store: Store) -> None:
    found = states(onnx_recipe, store, *overrides)
    for name, (state, why) in runs.items():
        assert found[name][0] == state
        assert found[name][1].startswith(why)
    cached = {name for name, (state, _) in found.items() if state == "cached"}
    assert "source" in cached
    if "optimize.again" not in runs:
        assert cached == set(found) - set(runs)


def test_a_new_library_is_the_reason(onnx_recipe: Path, store: Store, monkeypatch) -> None:
    installed = keys._version
    monkeypatch.setattr(keys, "_version", lambda n: "99" if n == "onnxruntime" else installed(n))
    found = states(onnx_recipe, store)
    assert found["source"] == ("cached", "")
    assert found[PASS][1].startswith("libraries.onnxruntime: ")
    assert found[PASS][1].endswith(" -> 99")


def test_a_result_that_is_gone_says_so(onnx_recipe: Path, tmp_path: Path) -> None:
    recipe = taxiway.load(onnx_recipe)
    store = Store(tmp_path / "store")
    History(store.root).remember(recipe.plan())
    found = states(onnx_recipe, store)
    assert set(found.values()) == {("run", "its result is gone from the store")}


def test_a_damaged_history_is_no_history(onnx_recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    History(store.root).remember(taxiway.load(onnx_recipe).plan())
    for damaged in ("", "{", "[]", '{"source": 1}', '{"source": {}}'):
        (store.root / "recipes/blobs_int8.json").write_text(damaged)
        assert {state for state, _ in states(onnx_recipe, store).values()} == {"run"}


def test_a_gate_that_will_fail_blocks_the_deployment(onnx_recipe: Path, store: Store) -> None:
    strict = "evaluate.gates.size.max=1 B"
    found = states(onnx_recipe, store, strict)
    assert found["deploy"][0] == "blocked"
    assert "size" in found["deploy"][1]
    assert {state for name, (state, _) in found.items() if name != "deploy"} == {"cached"}
    with pytest.raises(GateError):
        taxiway.load(onnx_recipe, [strict]).run(
            output=onnx_recipe.parent / "runs", store=store.root
        )
