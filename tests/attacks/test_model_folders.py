"""Hostile skops files, safetensors and transformers folders, built at run time: refused by name."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway import safety
from taxiway.errors import SafetyError
from taxiway.model.formats import detect

# --- skops ----------------------------------------------------------------------------------------


def node(loader: str, module: str, name: str, **more: Any) -> dict[str, Any]:
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


NUMBER = node("JsonNode", "builtins", "str", content="1", is_json=True)
ESTIMATOR = node("ObjectNode", "sklearn.linear_model._base", "LinearRegression")


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def skops_file(path: Path, schema: Any, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.16"})
        )
        for name, content in members.items():
            file.writestr(name.replace("__", "."), content)
    return path


def test_an_honest_skops_file_passes(tmp_path: Path) -> None:
    attributes = node("DictNode", "builtins", "dict", content={"copy_X": NUMBER})
    path = skops_file(
        tmp_path / "m.skops", {**ESTIMATOR, "content": attributes}, a__npy=npy(np.ones(3))
    )
    assert detect(path) == "sklearn"
    safety.check(path, "sklearn")


SCHEMAS = {
    "function": (node("FunctionNode", "os", "system"), "'os.system'"),
    "type": (node("TypeNode", "subprocess", "Popen"), "'subprocess.Popen'"),
    "builtin": (node("TypeNode", "builtins", "eval"), "'builtins.eval'"),
    "numpy-load": (node("FunctionNode", "numpy", "load"), "'numpy.load'"),
    "fetch": (node("FunctionNode", "sklearn.datasets", "fetch_openml"), "fetch_openml"),
    "object": (node("ObjectNode", "http.client", "HTTPConnection"), "HTTPConnection"),
    "lookalike": (node("ObjectNode", "sklearn_evil.svm", "SVC"), "'sklearn_evil.svm.SVC'"),
    "joblib": (node("ObjectNode", "sklearn.externals.joblib", "Memory"), "Memory"),
    "reduce": (
        node("ConstructorFromReduceNode", "subprocess", "Popen", content=NUMBER),
        "can call code",
    ),
    "method": (
        node("MethodNode", "sklearn.svm", "SVC", content={"func": "x", "obj": ESTIMATOR}),
        "made by a MethodNode",
    ),
    "partial": (node("PartialNode", "functools", "partial", content={}), "made by a PartialNode"),
    "operator": (
        node("OperatorFuncNode", "operator", "methodcaller", attrs=NUMBER),
        "made by a OperatorFuncNode",
    ),
    "unknown-loader": (node("NewNode", "builtins", "str"), "made by a NewNode"),
    "no-loader": ({"__class__": "system", "__module__": "os"}, "made by a None"),
    "dict-subclass": (node("DictNode", "evil", "Dict", content={}), "'evil.Dict'"),
    "list-of-popen": (node("ListNode", "subprocess", "Popen", content=[]), "'subprocess.Popen'"),
}


@pytest.mark.parametrize(("inner", "said"), SCHEMAS.values(), ids=SCHEMAS)
def test_skops_schema(tmp_path: Path, inner: Any, said: str) -> None:
    attributes = node("DictNode", "builtins", "dict", content={"a": [{"b": inner}]})
    path = skops_file(tmp_path / "m.skops", {**ESTIMATOR, "content": attributes})
    with pytest.raises(SafetyError) as caught:
        safety.check(path, "sklearn")
    assert said in caught.value.message


def bomb() -> bytes:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


ARRAYS = {
    "objects": ("a__npy", npy(np.array([{}], dtype=object)), "pickled objects"),
    "bomb": ("a__npy", bomb(), "claims 8796093022208 bytes and holds 0"),
    "no-array": ("a__npy", b"x" * 20, "no readable skops file"),
    "pickle": ("a__pkl", pickle.dumps({}), "no part of a skops file"),
    "ratio": ("a__bin", bytes(8 * 2**20), "unpacks to 8388608 bytes"),
}


@pytest.mark.parametrize(("name", "content", "said"), ARRAYS.values(), ids=ARRAYS)
def test_skops_arrays(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = skops_file(tmp_path / "m.skops", ESTIMATOR, **{name: content})
    with pytest.raises(SafetyError, match=said):
        safety.check(path, "sklearn")


@pytest.mark.slow
def test_trees_that_lead_nowhere(tmp_path: Path) -> None:
    """scikit-learn's compiled code follows the indices of a tree unchecked: they are checked here."""
    skops_io = pytest.importorskip("skops.io", reason="scikit-learn and skops are not installed")
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.tree import DecisionTreeRegressor

    from taxiway.model.inspect import describe

    x = np.random.default_rng(0).normal(size=(60, 3))
    tree = DecisionTreeRegressor(max_depth=3).fit(x, x[:, 0])
    boosting = HistGradientBoostingRegressor(max_iter=2).fit(x, x[:, 0])
    neighbours = KNeighborsRegressor(algorithm="kd_tree").fit(x, x[:, 0])
    cases = [tree, boosting, neighbours]
    for case in cases:
        (tmp_path / "good.skops").write_bytes(skops_io.dumps(case))
        describe(tmp_path / "good.skops", "sklearn")
    tree.tree_.children_left[0] = 2**30
    boosting._predictors[0][0].nodes["left"][0] = 0
    indices = np.asarray(neighbours._tree.idx_array)
    indices.setflags(write=True)
    indices[0] = 10**9
    for case in cases:
        (tmp_path / "bad.skops").write_bytes(skops_io.dumps(case))
        with pytest.raises(SafetyError, match="indices outside of its arrays"):
            describe(tmp_path / "bad.skops", "sklearn")


# --- safetensors ----------------------------------------------------------------------------------


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


WEIGHTS = {
    "header-length": (safetensors({}, length=2**62), "its header claims"),
    "empty": (b"", "its header claims"),
    "short": (b"\x01", "its header claims"),
    "no-json": (safetensors(b"{nope}"), "no JSON"),
    "deep": (safetensors(b"[" * 100_000), "nested too deeply|no JSON"),
    "list": (safetensors([]), "no JSON object"),
    "twice": (safetensors(b'{"a": 1, "a": 2}'), "occurs twice"),
    "bomb": (safetensors({"a": entry(0, 4, [2**40, 2**20])}, bytes(4)), "its offsets give 4"),
    "negative": (safetensors({"a": entry(0, 4, [-1])}, bytes(4)), "no natural numbers"),
    "float-shape": (safetensors({"a": entry(0, 4, [1.0])}, bytes(4)), "no natural numbers"),
    "overlap": (
        safetensors({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)),
        "overlaps",
    ),
    "hole": (safetensors({"a": entry(4, 8, [1])}, bytes(8)), "leaves a hole"),
    "beyond": (safetensors({"a": entry(0, 8, [2])}, bytes(4)), "the file holds 4"),
    "rest": (safetensors({"a": entry(0, 4, [1])}, bytes(9)), "the file holds 9"),
    "dtype": (safetensors({"a": entry(0, 4, [1], "O")}, bytes(4)), "unknown dtype 'O'"),
    "metadata": (safetensors({"__metadata__": {"a": 1}}), "no mapping of text"),
    "keys": (safetensors({"a": {**entry(0, 4, [1]), "x": 1}}, bytes(4)), "other keys"),
}


@pytest.mark.parametrize(("content", "said"), WEIGHTS.values(), ids=WEIGHTS)
def test_safetensors(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(SafetyError, match=said):
        safety.check(path, "safetensors")


def test_honest_safetensors_pass(tmp_path: Path) -> None:
    header = {"__metadata__": {"format": "pt"}, "a": entry(0, 8, [2]), "b": entry(8, 8, [0, 3])}
    (tmp_path / "m.safetensors").write_bytes(safetensors(header, bytes(8)))
    safety.check(tmp_path / "m.safetensors", "safetensors")


# --- transformers folders -------------------------------------------------------------------------


def folder(path: Path, config: Any = None) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config or {"model_type": "bert"}))
    (path / "model.safetensors").write_bytes(safetensors({"a": entry(0, 4, [1])}, bytes(4)))
    return path


def test_an_honest_folder_passes(tmp_path: Path) -> None:
    safety.check(folder(tmp_path / "m"), "huggingface")


def pickled(path: Path) -> None:
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(b"x")


def outside(path: Path) -> None:
    (path / "vocab.txt").symlink_to("/etc/passwd")


def shards(path: Path) -> None:
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "code": (lambda p: (p / "modeling_evil.py").write_text("evil"), "modeling_evil.py is code"),
    "nested-code": (
        lambda p: ((p / "a").mkdir(), (p / "a/b.py").write_text("")),
        "a/b.py is code",
    ),
    "library": (lambda p: (p / "x.so").write_text(""), "x.so is code"),
    "pickle": (pickled, r"weights are pickles \(pytorch_model.bin\)"),
    "link": (outside, "leads outside of the folder"),
    "shards": (shards, "no file of the folder"),
    "adapter": (lambda p: (p / "adapter_config.json").write_text("{}"), "names another model"),
    "no-config": (lambda p: (p / "config.json").unlink(), "no config.json"),
    "broken-config": (lambda p: (p / "config.json").write_text("{"), "is no JSON"),
    "weights": (lambda p: (p / "b.safetensors").write_bytes(b"x"), "b.safetensors: its header"),
}


@pytest.mark.parametrize(("spoil", "said"), FOLDERS.values(), ids=FOLDERS)
def test_folder(tmp_path: Path, spoil: Callable[[Path], Any], said: str) -> None:
    path = folder(tmp_path / "m")
    spoil(path)
    with pytest.raises(SafetyError, match=said):
        safety.check(path, "huggingface")


CONFIGS = {
    "auto-map": {"auto_map": {"AutoModel": "modeling_evil.Evil"}},
    "nested": {"vision_config": {"auto_map": {"AutoModel": "evil/repo--m.E"}}},
    "kernel": {"_attn_implementation": "evil/kernel"},
    "quantized": {"quantization_config": {"quant_method": "evil"}},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_config(tmp_path: Path, config: Any) -> None:
    with pytest.raises(SafetyError, match=r"config\.json has "):
        safety.check(folder(tmp_path / "m", config), "huggingface")


def test_no_library_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from taxiway import errors, safety\n"
        "for kind, path in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    try: safety.check(pathlib.Path(path), kind)\n"
        "    except errors.SafetyError as error: print(error.render())\n"
        "print({'torch', 'transformers', 'sklearn', 'skops', 'safetensors'} & set(sys.modules))\n"
    )
    evil = skops_file(tmp_path / "m.skops", node("FunctionNode", "os", "system"))
    hostile = folder(tmp_path / "m", CONFIGS["auto-map"])
    words = ["sklearn", str(evil), "huggingface", str(hostile)]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert "'os.system'" in done.stdout and "auto_map" in done.stdout
    assert done.stdout.strip().endswith("set()")
