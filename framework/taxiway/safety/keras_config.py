"""What a Keras config would construct: every class and function it names, judged by name alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_CONFIG = 64 * 2**20

_RUNS_CODE = {
    "Lambda": "runs Python code stored in the file",
    "__lambda__": "runs Python code stored in the file",
    "TFSMLayer": "loads a SavedModel from a path",
    "TorchModuleWrapper": "loads a pickle",
    "JaxLayer": "runs functions stored in the file",
    "FlaxLayer": "runs functions stored in the file",
    "TensorFlowOpLayer": "runs any TensorFlow op",
    "ClassMethod": "calls any TensorFlow class method",
}
_PATH_OPTIONS = ("vocabulary", "vocabulary_file", "filepath", "file_path")
_PARTS = (
    "activations|applications|backend|constraints|dtype_policies|initializers|layers|legacy|losses|"
    "metrics|models|ops|optimizers|quantizers|random|regularizers"
)
_CLASS_MODULE = re.compile(rf"(tf_)?keras(\.src)?(\.({_PARTS})(\.\w+)*|\.engine(\.\w+)*)?")
_FUNCTION_MODULE = re.compile(
    r"builtins|(tf_)?keras(\.src)?\.(activations|constraints|initializers|losses|metrics|ops|"
    r"regularizers|random)(\.\w+)*"
)
_SAFE_TF_FUNCTION = re.compile(
    r"(math|nn|linalg|image|signal|bitwise|strings|random|sparse|ragged|__operators__)\.\w+(\.\w+)*"
    r"|(?!py_function|numpy_function|load_|function|print|import_)\w+"
)


def findings(text: str | bytes) -> list[str]:
    """What is unsafe in a model's JSON config, one line each; nothing named is imported.

    Follows `keras.saving.deserialize_keras_object`: a dict with `class_name` constructs or calls.
    """
    if len(text) > MAX_CONFIG:
        return [f"the config is larger than {MAX_CONFIG >> 20} MiB"]
    try:
        config = json.loads(text)
        return list(dict.fromkeys(_judge(config)))
    except RecursionError:
        return ["the config is nested too deeply"]
    except ValueError as error:
        return [f"the config is no JSON: {error}"]


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every dict of the config; the optimizer's and losses' part is never loaded."""
    stack = [config]
    if isinstance(config, dict):
        stack = [value for key, value in config.items() if key != "compile_config"]
        yield config
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _judge(config: Any) -> Iterator[str]:
    for node in _objects(config):
        if "class_name" not in node:
            continue
        name, module = str(node["class_name"]), node.get("module")
        inner = node.get("config")
        options = inner if isinstance(inner, dict) else {}
        where = f"layer '{options['name']}'" if "name" in options else f"object '{name}'"
        bare = {name.rpartition(">")[2], str(node.get("registered_name")).rpartition(">")[2]}
        for dangerous in sorted(bare & set(_RUNS_CODE)):
            yield f"{where}: {dangerous} {_RUNS_CODE[dangerous]}"
        if module is not None:
            allowed = _FUNCTION_MODULE if name == "function" else _CLASS_MODULE
            builtin = module == "builtins" and name.startswith("__")
            if not allowed.fullmatch(str(module)) and not builtin:
                named = inner if name == "function" else name
                yield f"{where}: {module}.{named} is outside the parts of Keras that a model needs"
        for option in _PATH_OPTIONS:
            if isinstance(options.get(option), str):
                yield f"{where}: option '{option}' of {name} reads a file outside the model"
        if name in ("TFOpLambda", "SlicingOpLambda"):
            function = str(options.get("function"))
            if not _SAFE_TF_FUNCTION.fullmatch(function):
                yield f"{where}: calls tf.{function}"
