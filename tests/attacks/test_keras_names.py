"""What a Keras config may name, polyglots, and the trust in one exact file."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from taxiway import safety
from taxiway.errors import SafetyError
from taxiway.safety.keras_config import findings

LAMBDA = {"class_name": "Lambda", "config": {"name": "l", "function": ["4wAA", None, None]}}


def one(class_name: str, module: str | None = "keras.layers", **more: Any) -> dict[str, Any]:
    return {"class_name": class_name, "module": module, "config": {}, **more}


def function(name: str, module: str) -> dict[str, Any]:
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


def tf_call(name: str) -> dict[str, Any]:
    return {"class_name": "TFOpLambda", "config": {"name": "t", "function": name}}


def attribute(name: str, kind: str = "InstanceMethod") -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "a", "attr_name": name}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-class": (one("Mine"), "class Mine is none of Keras"),
    "unknown-without-module": ({"class_name": "Mine", "config": {}}, "class Mine is none of Keras"),
    "a-function-as-class": (one("deserialize", None), "class deserialize is none of Keras"),
    "loader-as-class": (one("load_model", "keras.models"), "class load_model is none"),
    "package-prefix": (one("evil>Mine"), "class evil>Mine is none"),
    "registered-name": (one("Dense", registered_name="keras>Lambda"), "Lambda runs Python code"),
    "other-registered-name": (one("Dense", registered_name="evil>Mine"), "none of Keras"),
    "module-lookalike": (one("Dense", "keras_evil.layers"), "outside the parts of Keras"),
    "module-utils": (one("get_file", "keras.utils"), "keras.utils.get_file is outside"),
    "module-saving": (one("Dense", "keras.src.saving.saving_lib"), "outside the parts of Keras"),
    "typespec": (one("__typespec__", "os", spec_name="system"), "outside the parts of Keras"),
    "unknown-value": ({"class_name": "__reduce__", "config": {}}, "class __reduce__ is none"),
    "function-of-utils": (function("get_file", "keras.utils"), "keras.utils.get_file is outside"),
    "function-load": (function("load_model", "builtins"), "function load_model is none of Keras"),
    "function-eval": (function("eval", "builtins"), "function eval is none of Keras"),
    "nested-in-options": (
        {"class_name": "Dense", "config": {"kernel_initializer": one("Popen", "subprocess")}},
        "subprocess.Popen is outside",
    ),
    "in-a-compiled-part": (
        {"class_name": "Sequential", "config": {}, "build": [{"compile_config": one("x", "os")}]},
        "os.x is outside",
    ),
    "shared-object": ({**one("Mine"), "shared_object_id": 1}, "class Mine is none"),
    "tf-py-function": (tf_call("py_function"), "calls tf.py_function"),
    "tf-raw-ops": (tf_call("raw_ops.WriteFile"), "calls tf.raw_ops.WriteFile"),
    "tf-io": (tf_call("io.read_file"), "calls tf.io.read_file"),
    "tf-load": (tf_call("load_op_library"), "calls tf.load_op_library"),
    "tf-saved-model": (tf_call("saved_model.load"), "calls tf.saved_model.load"),
    "tf-compat": (tf_call("compat.v1.py_func"), "calls tf.compat.v1.py_func"),
    "method-chain": (attribute("__class__"), "takes '__class__' of a Python object"),
    "property-globals": (attribute("__globals__", "InstanceProperty"), "takes '__globals__'"),
    "method-of-string": (attribute("format"), "takes 'format'"),
}


@pytest.mark.parametrize(("evil", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(evil: dict[str, Any], said: str) -> None:
    config = {"class_name": "Functional", "config": {"name": "m", "layers": [evil]}}
    assert any(said in finding for finding in findings(json.dumps(config)))


ACCEPTED: dict[str, dict[str, Any]] = {
    "layer": one("Dense"),
    "keras-src": one("Dense", "keras.src.layers.core.dense"),
    "legacy": {"class_name": "BatchNormalizationV1", "config": {}},
    "operation": one("Einsum", "keras.src.ops.numpy"),
    "policy": one("DTypePolicy", "keras"),
    "policy-of-keras-2": one("Policy", "keras.mixed_precision"),
    "initializer-of-tf": one("Constant", "tensorflow.python.ops.init_ops_v2"),
    "tensor": {"class_name": "__keras_tensor__", "config": {"shape": [1], "keras_history": []}},
    "tuple": {"class_name": "__tuple__", "items": [1, 2]},
    "shape": {"class_name": "TensorShape", "items": [None, 4]},
    "function": function("relu", "keras.activations"),
    "builtin-function": function("gelu", "builtins"),
    "tf-math": tf_call("math.multiply"),
    "tf-plain": tf_call("concat"),
    "tf-operator": tf_call("__operators__.getitem"),
    "tf-compat": tf_call("compat.v1.nn.relu"),
    "ragged-values": attribute("values", "InstanceProperty"),
    "ragged-to-tensor": attribute("to_tensor"),
}


@pytest.mark.parametrize("good", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(good: dict[str, Any]) -> None:
    config = {"class_name": "Functional", "config": {"name": "m", "layers": [good]}}
    assert findings(json.dumps(config)) == []


def hdf5(layer: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [layer]})
    return file.getvalue()


def archive(layer: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("metadata.json", "{}")
        content.writestr("config.json", json.dumps({"class_name": "Sequential", "config": [layer]}))
    return file.getvalue()


def test_a_harmless_archive_behind_an_hdf5_file_hides_nothing(tmp_path: Path) -> None:
    """The loader opens such a file as HDF5, so the gate has to."""
    path = tmp_path / "m.h5"
    path.write_bytes(hdf5(LAMBDA) + archive(one("Dense")))
    assert zipfile.is_zipfile(path)
    with pytest.raises(SafetyError, match="Lambda runs Python code"):
        safety.check(path, "keras")


@pytest.mark.parametrize("build", [hdf5, archive])
def test_trust_is_for_one_file_and_for_stored_code_alone(tmp_path: Path, build: Any) -> None:
    path = tmp_path / "m.x"
    path.write_bytes(build(LAMBDA))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SafetyError) as caught:
        safety.check(path, "keras")
    assert caught.value.hint and caught.value.hint.endswith(f"source.trust={digest}")
    safety.check(path, "keras", digest)
    with pytest.raises(SafetyError, match=r"source\.trust is for the file with sha256 0000"):
        safety.check(path, "keras", "0" * 64)
    path.write_bytes(build({**LAMBDA, "more": one("Popen", "subprocess")}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SafetyError, match=r"subprocess\.Popen") as caught:
        safety.check(path, "keras", digest)
    assert "Lambda" not in caught.value.message


RECIPE = """\
defaults: [base, {source: keras}, _self_]
name: trusted
source: {path: m.keras}
"""


@pytest.mark.slow
def test_a_trusted_lambda_runs_in_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    import keras

    from taxiway.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXIWAY_STORE", str(tmp_path / "store"))
    twice = keras.layers.Lambda(lambda x: 2 * x, output_shape=(4,))
    keras.Sequential([keras.Input((4,)), twice, keras.layers.Dense(2)]).save("m.keras")
    (tmp_path / "mine.yaml").write_text(RECIPE)
    assert main(["run", "mine.yaml"]) == 5
    capfd.readouterr()
    digest = hashlib.sha256(Path("m.keras").read_bytes()).hexdigest()
    assert main(["run", "mine.yaml", f"source.trust={digest}"]) == 0
    assert f"trusted by digest {digest[:12]}" in capfd.readouterr().out
    report = next(tmp_path.glob("runs/trusted/*/report.json"))
    assert json.loads(report.read_text())["trusted"] == digest
