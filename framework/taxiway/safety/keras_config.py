"""What a Keras config would construct: every class and function it names must be one of Keras's own.

Names are judged, nothing is imported. Follows how Keras 3 and tf_keras resolve them:
`keras/src/saving/serialization_lib.py`, and for .h5 files `legacy/saving/serialization.py` of both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from taxiway.safety.allowlist import allowlist

MAX_CONFIG = 64 * 2**20

STORED_CODE_REASON = "runs Python code stored in the file"
STORED_CODE = frozenset({"Lambda", "__lambda__"})
"""Classes whose code is in the file itself: the only ones that an explicit trust lets through."""
_VALUES = frozenset(
    {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
    | {"__tuple__", "__typespec__", "TensorShape", "TypeSpec"}
)
"""Plain values that a config writes like objects."""
_PATH_OPTIONS = ("vocabulary", "vocabulary_file", "filepath", "file_path")
_PARTS = (
    "activations|applications|backend|constraints|distillation|dtype_policies|initializers|layers|"
    "legacy|losses|metrics|mixed_precision|models|ops|optimizers|quantizers|random|regularizers|trainers"
)
_CLASS_MODULE = re.compile(
    rf"(tf_)?keras(\.src)?(\.({_PARTS})(\.\w+)*|\.engine(\.\w+)*)?"
    # Where older versions of tf_keras say that its initializers are.
    r"|tensorflow\.python\.ops\.init_ops(_v2)?"
)
_FUNCTION_MODULE = re.compile(
    r"builtins|(tf_)?keras(\.src)?\.(activations|constraints|initializers|losses|metrics|ops|"
    r"regularizers|random)(\.\w+)*"
)
_TF_NAMESPACE = re.compile(
    r"(compat\.v1\.)?((math|nn|linalg|image|signal|bitwise|strings|random|sparse|ragged|sets|dtypes|"
    r"quantization|__operators__)\.\w+(\.\w+)*|(?P<plain>\w+))"
)
"""Where a tf.* function that a TFOpLambda calls may live; plain names are looked up."""
_ATTRIBUTES = re.compile(
    r"(nested_)?(flat_)?(values|row_splits|row_lengths|value_rowids)|shape|dtype|rank|ragged_rank|"
    r"indices|dense_shape|row_starts|row_limits|nrows|nvals|uniform_row_length|bounding_shape|"
    r"to_tensor|to_sparse|merge_dims|with_(flat_)?values|get_shape"
)
"""What an InstanceProperty or InstanceMethod may take of a tensor: a chain of others reaches Python."""


def findings(text: str | bytes, trusted: bool = False) -> list[str]:
    """What is unsafe in a model's JSON config, one line each; nothing named is imported.

    trusted: code that is stored in the file is no finding.
    """
    if len(text) > MAX_CONFIG:
        return [f"the config is larger than {MAX_CONFIG >> 20} MiB"]
    try:
        config = json.loads(text)
        return list(dict.fromkeys(_judge(config, STORED_CODE if trusted else frozenset())))
    except RecursionError:
        return ["the config is nested too deeply"]
    except ValueError as error:
        return [f"the config is no JSON: {error}"]


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every dict of the config; the whole model's optimizer and losses are never loaded."""
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


def _judge(config: Any, trusted: frozenset[str]) -> Iterator[str]:
    for node in _objects(config):
        if "class_name" not in node:
            continue
        name, inner = str(node["class_name"]), node.get("config")
        options = inner if isinstance(inner, dict) else {}
        where = f"layer '{options['name']}'" if "name" in options else f"object '{name}'"
        yield from (f"{where}: {reason}" for reason in _named(node, name, inner, trusted))
        for option in _PATH_OPTIONS:
            if isinstance(options.get(option), str):
                yield f"{where}: option '{option}' of {name} reads a file outside the model"
        if name in ("TFOpLambda", "SlicingOpLambda"):
            function = str(options.get("function"))
            if not _computes(function):
                yield f"{where}: calls tf.{function}"
        if name in ("InstanceProperty", "InstanceMethod"):
            attribute = str(options.get("attr_name"))
            if not _ATTRIBUTES.fullmatch(attribute):
                yield f"{where}: takes '{attribute}' of a Python object"


def _named(node: dict[str, Any], name: str, inner: Any, trusted: frozenset[str]) -> Iterator[str]:
    """What is wrong with the class or function that one dict names."""
    bare = {_bare(name), _bare(node.get("registered_name") or name)}
    refused = sorted(bare & set(_refused()) - trusted)
    for dangerous in refused:
        yield f"{dangerous} {_refused()[dangerous]}"
    if "module" in node and node["module"] is not None:
        module = str(node["module"])
        allowed = _FUNCTION_MODULE if name == "function" else _CLASS_MODULE
        value = module == "builtins" and name.startswith("__")
        if not allowed.fullmatch(module) and not value:
            named = inner if name == "function" else name
            yield f"{module}.{named} is outside the parts of Keras that a model needs"
            return
    if name == "function":
        if _bare(inner) not in _known("functions"):
            yield f"function {inner} is none of Keras {allowlist('keras_objects')['keras']}'s own"
    elif not refused and not bare <= _known("classes") | _VALUES | trusted:
        yield (
            f"class {name} is none of Keras {allowlist('keras_objects')['keras']}'s own; without its "
            "code, export the model as a SavedModel"
        )


def _bare(name: object) -> str:
    """A name without the package that it is registered in."""
    return str(name).rpartition(">")[2]


@cache
def _known(kind: str) -> frozenset[str]:
    return frozenset(allowlist("keras_objects")[kind])


def _refused() -> dict[str, str]:
    """Class -> why it is refused."""
    reasons: dict[str, str] = allowlist("keras_objects")["refused"]
    return reasons


def _computes(function: str) -> bool:
    """Whether a tf.* function only computes."""
    match = _TF_NAMESPACE.fullmatch(function)
    if match is None:
        return False
    return not match["plain"] or match["plain"] in _known("tensorflow_functions")
