"""Whatever is written in a recipe or on the command line gives a Recipe or a TaxiwayError."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import taxiway
from taxiway.compose.static import validate_static
from taxiway.errors import TaxiwayError

FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
SLOWLY = settings(
    max_examples=2_000 if FULL else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=12),
    st.sampled_from(
        [
            "${name}",
            "${data}",
            "${oc.env:HOME}",
            "${oc.decode:x}",
            "???",
            "${",
            "1e3",
            "2 ms",
            "..",
            "a" * 300,
        ]
    ),
)
keys = st.one_of(
    st.sampled_from(
        [
            "defaults",
            "name",
            "source",
            "data",
            "optimize",
            "evaluate",
            "hydra",
            "type",
            "path",
            "gates",
            "limits",
        ]
    ),
    scalars,
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
)
FRAGMENTS = st.sampled_from(
    ["\n", " ", ":", "- ", "#", "&a ", "*a", "<<: ", "{", "}", "[", "]", "!!int ", "? ", "|", "'", '"', "${", "}", "\t",
     "\0", "\ufeff", "\x85", "\u2028", "---\n", "%YAML 1.2\n", "null", "~", ".nan", "0x", "hydra: ", "_target_: ", "\\"]
)  # fmt: skip


def survives(recipe: Path, overrides: list[str] | None = None) -> None:
    with suppress(TaxiwayError):
        taxiway.load(recipe, overrides or []).plan()
    with suppress(TaxiwayError):
        validate_static(recipe)


@SLOWLY
@given(document=values)
def test_documents(folder: Path, document: object) -> None:
    recipe = folder / "any.yaml"
    recipe.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    survives(recipe)


@SLOWLY
@given(body=st.dictionaries(keys, values, max_size=3))
def test_values_in_a_good_recipe(folder: Path, body: dict[object, object]) -> None:
    good = yaml.safe_load((folder / "mine.yaml").read_text())
    recipe = folder / "any.yaml"
    recipe.write_text(yaml.safe_dump({**good, **body}, sort_keys=False), encoding="utf-8")
    survives(recipe)


@SLOWLY
@given(data=st.data())
def test_mutations(folder: Path, data: st.DataObject) -> None:
    text = (folder / "mine.yaml").read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(FRAGMENTS | st.text(max_size=4)) + text[at + cut :]
    (folder / "any.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    survives(folder / "any.yaml")


override_keys = st.sampled_from(
    ["seed", "name", "data.scale", "source", "optimize", "source.path", "evaluate.gates", "limits.time",
     "hydra.job.name", "optimize@optimize.again", "data.splits.test.inputs", "deploy", "data"]
)  # fmt: skip
override_values = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        ["null", "[]", "{}", "[a,b]", "{a:1}", "{1:2}", "{null:1}", "1,2", "nan", "inf", "-0x1", "'a b'", "${seed}",
         "${oc.decode:'3'}", "${oc.env:NOPE}", "???", "range(3)", "npz", "onnx", "float16", "[float16]", "9" * 30]
    ),
)  # fmt: skip


@SLOWLY
@given(
    overrides=st.lists(
        st.text(max_size=12)
        | st.builds("{}{}={}".format, st.sampled_from(["", "+", "++", "~"]), override_keys, override_values),
        max_size=3,
    )
)  # fmt: skip
def test_overrides(folder: Path, overrides: list[str]) -> None:
    survives(folder / "mine.yaml", overrides)
