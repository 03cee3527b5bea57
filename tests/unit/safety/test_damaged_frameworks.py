"""Damage of any kind ends in a SafetyError or passes: a gate has no other way out."""

from __future__ import annotations

import copy
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taxiway import safety
from taxiway.errors import SafetyError

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
META = {
    "dtype": 7,
    "sizes": [{"as_int": 1}],
    "strides": [{"as_int": 1}],
    "storage_offset": {"as_int": 0},
    "device": {"type": "cpu", "index": None},
}
PROGRAM = {
    "graph_module": {
        "graph": {
            "nodes": [{"target": "torch.ops.aten.relu.default", "inputs": [{"name": "x"}]}],
            "tensor_values": {"x": META},
        },
        "module_call_graph": [
            {"fqn": "", "signature": {"in_spec": '[1, {"type": null, "children_spec": []}]'}}
        ],
    },
    "range_constraints": {"s1": {"min_val": 1}},
    "guards_code": ["L['x'].size()[0] == 2"],
}
PAYLOAD = {"config": {"w": {"path_name": "weight_0", "use_pickle": False, "tensor_meta": META}}}
NUMBER = {"__loader__": "JsonNode", "__module__": "builtins", "__class__": "str", "content": "1"}
SCHEMA = {
    "__loader__": "ListNode",
    "__module__": "builtins",
    "__class__": "list",
    "content": [NUMBER, NUMBER],
}
TENSORS = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
fuzz = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [path, *(p for key, inner in items for p in places(inner, (*path, key)))]


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """The value with one part of it replaced by something else."""
    path = draw(st.sampled_from(places(value)))
    odd = draw(ODD)
    if not path:
        return odd
    result = copy.deepcopy(value)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return result


def pt2(path: Path, graph: Any, weights: Any) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {
            "archive_format": b"pt2",
            "models/model.json": json.dumps(graph),
            "data/weights/weight_0": bytes(4),
            "data/weights/model_weights_config.json": json.dumps(weights),
            "data/constants/model_constants_config.json": '{"config": {}}',
            "data/sample_inputs/model.pt": b"",
        }.items():
            file.writestr(f"m/{name}", content)


def test_the_whole_ones_pass(tmp_path: Path) -> None:
    pt2(tmp_path / "m.pt2", PROGRAM, PAYLOAD)
    safety.check(tmp_path / "m.pt2", "torch")


@fuzz
@given(graph=spoilt(PROGRAM), weights=spoilt(PAYLOAD))
def test_programs(tmp_path: Path, graph: Any, weights: Any) -> None:
    for parts in ((graph, PAYLOAD), (PROGRAM, weights)):
        pt2(tmp_path / "m.pt2", *parts)
        with suppress(SafetyError):
            safety.check(tmp_path / "m.pt2", "torch")


@fuzz
@given(schema=spoilt(SCHEMA))
def test_skops(tmp_path: Path, schema: Any) -> None:
    with zipfile.ZipFile(tmp_path / "m.skops", "w") as file:
        file.writestr("schema.json", json.dumps(schema))
    with suppress(SafetyError):
        safety.check(tmp_path / "m.skops", "sklearn")


@fuzz
@given(header=spoilt(TENSORS), index=spoilt({"weight_map": {"a": "model.safetensors"}}))
def test_safetensors_and_folders(tmp_path: Path, header: Any, index: Any) -> None:
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(4)
    for name in ("model.safetensors", "second.safetensors"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps(index))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for path, kind in ((tmp_path / "model.safetensors", "safetensors"), (tmp_path, "huggingface")):
        with suppress(SafetyError):
            safety.check(path, kind)


@fuzz
@given(content=st.binary(max_size=200), start=st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04"]))
@pytest.mark.parametrize(
    "kind", ["torch", "torch_weights", "safetensors", "sklearn", "keras_weights"]
)
def test_any_bytes(tmp_path: Path, kind: str, content: bytes, start: bytes) -> None:
    (tmp_path / "m").write_bytes(start + content)
    with suppress(SafetyError):
        safety.check(tmp_path / "m", kind)


@fuzz
@given(cut=st.integers(0, 900), at=st.integers(0, 900), byte=st.integers(0, 255))
def test_cut_and_flipped_programs(tmp_path: Path, cut: int, at: int, byte: int) -> None:
    pt2(tmp_path / "m.pt2", PROGRAM, PAYLOAD)
    content = bytearray((tmp_path / "m.pt2").read_bytes())
    content[at % len(content)] = byte
    (tmp_path / "m.pt2").write_bytes(content[: len(content) - cut])
    with suppress(SafetyError):
        safety.check(tmp_path / "m.pt2", "torch")
