"""Hostile PyTorch files, built here at run time: each is refused by name, and no loader runs."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from taxiway import safety
from taxiway.errors import SafetyError
from taxiway.model.formats import detect

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
LEAF = {"type": None, "context": None, "children_spec": []}


def spec(type: str, context: Any, *children: Any) -> str:
    return json.dumps([1, {"type": type, "context": context, "children_spec": [*children]}])


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def meta(*sizes: Any) -> dict[str, Any]:
    return {
        "dtype": 7,
        "sizes": [size if isinstance(size, dict) else {"as_int": size} for size in sizes],
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "strides": [{"as_int": 1} for _ in sizes],
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def program() -> dict[str, Any]:
    """relu(x) + w in the schema of torch 2.13, with a free first axis."""
    free = {"as_expr": {"expr_str": "Symbol('s7', positive=True, integer=True)", "hint": None}}
    arguments = [{"name": "self", "arg": tensor("x"), "kind": 1}]
    more = [*arguments, {"name": "other", "arg": tensor("b_w"), "kind": 1}]
    nodes = [
        ("torch.ops.aten.relu.default", arguments, "relu"),
        ("torch.ops.aten.add.Tensor", more, "add"),
    ]
    return {
        "graph_module": {
            "graph": {
                "inputs": [tensor("b_w"), tensor("x")],
                "outputs": [tensor("add")],
                "nodes": [
                    {
                        "target": target,
                        "inputs": inputs,
                        "outputs": [tensor(name)],
                        "metadata": {},
                        "name": name,
                    }
                    for target, inputs, name in nodes
                ],
                "tensor_values": {"x": meta(free), "b_w": meta(1), "relu": meta(free)},
                "sym_int_values": {},
                "sym_bool_values": {},
            },
            "signature": {"input_specs": [], "output_specs": []},
            "module_call_graph": [
                {
                    "fqn": "",
                    "signature": {
                        "inputs": [],
                        "outputs": [],
                        "in_spec": spec("builtins.tuple", "null", LEAF),
                        "out_spec": json.dumps([1, LEAF]),
                        "forward_arg_names": ["x"],
                    },
                }
            ],
        },
        "opset_version": {"aten": 10},
        "range_constraints": {"s7": {"min_val": 1, "max_val": 64}},
        "schema_version": {"major": 8, "minor": 20},
        "guards_code": ["L['x'].size()[0] >= 1"],
    }


def payload(path_name: str = "weight_0", use_pickle: bool = False, **changes: Any) -> Any:
    described = {**meta(1), **changes}
    return {"path_name": path_name, "is_param": False, "use_pickle": use_pickle} | {
        "tensor_meta": described
    }


def archive(
    path: Path,
    graph: Any = None,
    weights: Any = None,
    samples: bytes = b"",
    extra: dict[str, bytes] | None = None,
) -> Path:
    members = {
        "archive_format": b"pt2",
        "archive_version": b"0",
        "byteorder": b"little",
        ".data/version": b"6\n",
        "models/model.json": json.dumps(graph or program()).encode(),
        "data/weights/weight_0": bytes(4),
        "data/weights/model_weights_config.json": json.dumps(
            {"config": {"w": weights or payload()}}
        ).encode(),
        "data/constants/model_constants_config.json": b'{"config": {}}',
        "data/sample_inputs/model.pt": samples,
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"model/{name}", content)
    return path


def refused(path: Path) -> str:
    assert detect(path) == "torch"
    with pytest.raises(SafetyError) as caught:
        safety.check(path, "torch")
    assert caught.value.exit_code == 5
    return caught.value.message


def test_an_honest_program_passes(tmp_path: Path) -> None:
    safety.check(archive(tmp_path / "m.pt2"), "torch")


CODE = "__import__('os').system('touch exploded')"
GRAPHS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "size-expression": (
        lambda g: _size(g).update(expr_str=CODE),
        "is no plain expression",
    ),
    "size-lambda": (lambda g: _size(g).update(expr_str="(lambda: 0)()"), "no plain expression"),
    "size-attribute": (
        lambda g: _size(g).update(expr_str="Symbol.__class__"),
        "no plain expression",
    ),
    "size-power": (
        lambda g: _size(g).update(expr_str="PowByNatural(Integer(9), Integer(99999999))"),
        "no plain expression",
    ),
    "size-text": (lambda g: _size(g).update(expr_str=f'Symbol("{CODE}")'), "no plain expression"),
    "guard": (lambda g: g.update(guards_code=[CODE]), "is more than a comparison of sizes"),
    "guard-dunder": (
        lambda g: g.update(guards_code=["L['x'].__class__.__init__.size() == 1"]),
        "more than a comparison",
    ),
    "tree-default-factory": (
        lambda g: _call(g).update(
            in_spec=spec("collections.defaultdict", {"default_factory_module": "evil"}, LEAF)
        ),
        "of type 'collections.defaultdict'",
    ),
    "tree-enum": (
        lambda g: _call(g).update(
            in_spec=spec("builtins.dict", '[{"__enum__": 1, "fqn": "evil:E", "name": "A"}]', LEAF)
        ),
        "are no plain names",
    ),
    "tree-foreign-class": (
        lambda g: _call(g).update(out_spec=spec("evil.Output", "null", LEAF)),
        "of type 'evil.Output'",
    ),
    "input-name": (
        lambda g: g["graph_module"]["graph"]["inputs"].append(tensor(f"x): {CODE}  #")),
        "is no identifier",
    ),
    "value-name": (
        lambda g: g["graph_module"]["graph"]["tensor_values"].update({"a b": meta(1)}),
        "'a b' is no identifier",
    ),
    "argument-name": (
        lambda g: _call(g).update(forward_arg_names=["x=print()"]),
        "is no identifier",
    ),
    "buffer-name": (
        lambda g: g["graph_module"]["signature"]["input_specs"].append(
            {"buffer": {"arg": {"name": "b"}, "buffer_name": 'a"); evil("', "persistent": True}}
        ),
        "is no dotted name",
    ),
    "op-namespace": (lambda g: _target(g, "torch.ops.evil.run.default"), "op 'evil.run.default'"),
    "op-python": (lambda g: _target(g, "torch.hub.load"), "op 'torch.hub.load'"),
    "op-operator": (lambda g: _target(g, "_operator.attrgetter"), "op '_operator.attrgetter'"),
    "op-extension": (lambda g: _target(g, "#evil:run"), "op '#evil:run'"),
    "op-file": (
        lambda g: _target(g, "torch.ops.aten.from_file.default"),
        "op 'aten.from_file.default' works on files",
    ),
    "op-in-subgraph": (
        lambda g: g["graph_module"]["graph"]["nodes"][0]["inputs"].append(
            {"arg": {"as_graph": {"name": "b", "graph": {"nodes": [{"target": "torch.load"}]}}}}
        ),
        "op 'torch.load'",
    ),
    "op-as-argument": (
        lambda g: g["graph_module"]["graph"]["nodes"][0]["inputs"].append(
            {"name": "f", "arg": {"as_operator": "torch.load"}}
        ),
        "op 'torch.load'",
    ),
    "custom-object": (
        lambda g: g["graph_module"]["graph"]["nodes"][0]["inputs"].append(
            {"name": "f", "arg": {"as_custom_obj": {"name": "o", "class_fqn": "evil"}}}
        ),
        "object of a custom class",
    ),
    "device": (
        lambda g: g["graph_module"]["graph"]["tensor_values"]["b_w"].update(
            device={"type": "cuda", "index": 0}
        ),
        "bound to the device 'cuda'",
    ),
}


def _size(graph: Any) -> Any:
    return graph["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]["as_expr"]


def _call(graph: Any) -> Any:
    return graph["graph_module"]["module_call_graph"][0]["signature"]


def _target(graph: Any, target: str) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = target


@pytest.mark.parametrize(("change", "said"), GRAPHS.values(), ids=GRAPHS)
def test_graph(tmp_path: Path, change: Callable[[Any], Any], said: str) -> None:
    graph = copy.deepcopy(program())
    change(graph)
    assert said in refused(archive(tmp_path / "m.pt2", graph))


MEMBERS = {
    "compiled": ("data/aotinductor/model/a.so", "code compiled for one machine"),
    "torchscript": ("data/constants/custom_obj_0", "is a TorchScript object"),
    "opaque": ("data/constants/opaque_obj_0", "is a pickled object"),
    "legacy-weights": ("data/weights/model.pt", "is no part of an exported program"),
    "legacy-constants": ("data/constants/model.pt", "is no part of an exported program"),
    "second-model": ("models/other.json", "is a second model"),
    "extra-folder": ("extra/a/b", "is no part of an exported program"),
    "slip": ("../evil", "points outside the archive"),
}


@pytest.mark.parametrize(("name", "said"), MEMBERS.values(), ids=MEMBERS)
def test_member(tmp_path: Path, name: str, said: str) -> None:
    assert said in refused(archive(tmp_path / "m.pt2", extra={name: b"x"}))


WEIGHTS = {
    "pickled": (payload(use_pickle=True), "is pickled"),
    "missing": (payload("weight_9"), "no member with its bytes"),
    "foreign": (payload("../../models/model.json"), "no member with its bytes"),
    "too-large": (payload(sizes=[{"as_int": 2**40}]), "its member has 4"),
    "offset": (payload(storage_offset={"as_int": 4}), "needs 20 bytes"),
    "negative": (payload(sizes=[{"as_int": -1}]), "make no sense"),
    "stride": (payload(sizes=[{"as_int": 2}], strides=[{"as_int": 2**40}]), "its member has 4"),
    "dtype": (payload(dtype=999), "make no sense"),
}


@pytest.mark.parametrize(("weights", "said"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights(tmp_path: Path, weights: Any, said: str) -> None:
    assert said in refused(archive(tmp_path / "m.pt2", weights=weights))


def test_an_archive_in_front_of_the_archive(tmp_path: Path) -> None:
    """What a second reader may see is what a first one skips."""
    first, second = archive(tmp_path / "a.pt2"), archive(tmp_path / "b.pt2")
    path = tmp_path / "m.pt2"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(SafetyError, match="does not begin with its first member"):
        safety.check(path, "torch")


class Explodes:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch exploded",)


def saved(payload: bytes, **members: bytes) -> bytes:
    """An archive as torch.save writes it, around a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", payload)
        for name, content in members.items():
            file.writestr(f"archive/{name.replace('__', '/')}", content)
    return stream.getvalue()


PICKLES = {
    "system": (pickle.dumps(Explodes(), protocol=2), "it would import 'posix.system'"),
    "stack-global": (pickle.dumps(Explodes(), protocol=4), "STACK_GLOBAL"),
    "eval": (b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "'builtins.eval'"),
    "attribute": (b"\x80\x02ctorch\nhub.load\n.", "'torch.hub.load'"),
    "wrapped-rebuild": (b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n.", "_rebuild_from_type"),
    "instance": (b"(ios\nsystem\n.", "INST"),
    "damaged": (b"\x80\x02X\xff\xff\xff\xffab", "no readable pickle"),
}


@pytest.mark.parametrize(("content", "said"), PICKLES.values(), ids=PICKLES)
def test_pickles_in_state_dicts_and_sample_inputs(
    tmp_path: Path, content: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(saved(content))
    with pytest.raises(SafetyError) as caught:
        safety.check(tmp_path / "w.pth", "torch_weights")
    assert said in caught.value.message
    assert said in refused(archive(tmp_path / "m.pt2", samples=saved(content)))
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_may_not_set_attributes_in_sample_inputs(tmp_path: Path) -> None:
    content = b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb."
    (tmp_path / "w.pth").write_bytes(saved(content))
    safety.check(tmp_path / "w.pth", "torch_weights")
    assert "BUILD" in refused(archive(tmp_path / "m.pt2", samples=saved(content)))


@pytest.mark.parametrize("member", ["constants.pkl", "code__m.py", "other.pkl"])
def test_torchscript_and_strange_members(tmp_path: Path, member: str) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(saved(pickle.dumps({}, protocol=2), **{member: b"x"}))
    with pytest.raises(SafetyError, match=r"TorchScript|no part of a state dict"):
        safety.check(path, "torch_weights")
    with pytest.raises(SafetyError, match="PyTorch archive with a pickle"):
        detect(path)


def test_second_pickle_of_the_old_layout(tmp_path: Path) -> None:
    """The object is the fourth pickle of five; each of them is looked at."""
    parts = [pickle.dumps(x, protocol=2) for x in (2**70, 1001, {"a": 1})]
    path = tmp_path / "old.pt"
    path.write_bytes(b"".join(parts) + pickle.dumps(Explodes(), protocol=2))
    with pytest.raises(SafetyError, match=r"posix\.system"):
        safety.check(path, "torch_weights")


def test_no_loader_is_imported(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt2", weights=payload(use_pickle=True))
    program = (
        "import sys, pathlib\n"
        "from taxiway import errors, safety\n"
        "try: safety.check(pathlib.Path(sys.argv[1]), 'torch')\n"
        "except errors.SafetyError as error: print(error.render())\n"
        "print({'torch', 'sympy', 'numpy'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "is pickled" in done.stdout
    assert done.stdout.strip().endswith("set()")


LIVE = {
    "size-expression": (lambda graph, text: _first_size(graph).update(expr_str=text), "expression"),
    "guard": (lambda graph, text: graph.update(guards_code=[text]), "comparison of sizes"),
    "pickled-weight": (None, "is pickled"),
}


def _first_size(graph: Any) -> Any:
    values = graph["graph_module"]["graph"]["tensor_values"].values()
    return next(size["as_expr"] for value in values for size in value["sizes"] if "as_expr" in size)


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize(("change", "said"), LIVE.values(), ids=LIVE)
def test_live_payloads_do_not_run(
    tmp_path: Path, change: Callable[..., Any] | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real program, spoilt so that torch.export.load itself would run code."""
    import torch

    from taxiway.errors import TaxiwayError
    from taxiway.model.inspect import describe

    monkeypatch.chdir(tmp_path)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = torch.nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.dense(x)

    batch = torch.export.Dim("batch", max=9)
    exported = torch.export.export(Net(), (torch.zeros(2, 3),), dynamic_shapes={"x": {0: batch}})
    torch.export.save(exported, "good.pt2")
    describe(Path("good.pt2"), "torch")
    with zipfile.ZipFile("good.pt2") as good, zipfile.ZipFile("bad.pt2", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if change and name.endswith("/models/model.json"):
                graph = json.loads(content)
                change(graph, CODE)
                content = json.dumps(graph).encode()
            elif not change and name.endswith("model_weights_config.json"):
                config = json.loads(content)
                bias = config["config"]["dense.bias"]
                bias["use_pickle"], bias["path_name"] = True, "weight_1"
                content = json.dumps(config).encode()
            elif not change and name.endswith("/weights/weight_1"):
                content = pickle.dumps(Explodes(), protocol=2)
            bad.writestr(name, content)
    with pytest.raises(TaxiwayError, match=said):
        describe(Path("bad.pt2"), "torch")
    assert not Path("exploded").exists()
    try:
        torch.export.load("bad.pt2").module()(torch.zeros(1, 3))
    except Exception as error:
        print(f"PyTorch itself: {error!r}")
    assert Path("exploded").exists(), "the payload is no longer live: look for the new way"
