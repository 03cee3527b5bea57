"""The classes and functions of Keras and tf_keras that a model's config may name.

A class is listed where the library can make it from a config and it only computes; a function where
it stands in one of the modules that hold activations, losses, operations and the like.

    python docs/allowlists/keras_objects.py [--check]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
TARGET = Path(__file__).parents[2] / "framework/taxiway/safety/lists/keras_objects.json"
CLASS_PARTS = {
    *("activations", "applications", "backend", "constraints", "distillation", "dtype_policies"),
    *("engine", "feature_column", "initializers", "layers", "legacy", "losses", "metrics"),
    *("mixed_precision", "models", "ops", "optimizers", "premade_models", "quantizers", "random"),
    *("regularizers", "trainers"),
}
FUNCTION_PARTS = {
    *("activations", "constraints", "initializers", "losses", "metrics", "ops", "random"),
    "regularizers",
}
REFUSED = {
    "Lambda": "runs Python code stored in the file",
    "__lambda__": "runs Python code stored in the file",
    "TFSMLayer": "loads a SavedModel from a path",
    "ReloadedLayer": "loads a SavedModel from a path",
    "TorchModuleWrapper": "loads a pickle",
    "TorchOptimizer": "loads a pickle",
    "TorchParallelOptimizer": "loads a pickle",
    "JaxLayer": "runs functions stored in the file",
    "FlaxLayer": "runs functions stored in the file",
    "TensorFlowOpLayer": "runs any TensorFlow op",
    "ClassMethod": "calls any TensorFlow class method",
    "ModuleWrapper": "wraps a module that is not in the file",
    "DistributedCallbackModel": "belongs to training",
    "_SimpleModel": "belongs to Keras's own tests",
    "TFOptimizer": "belongs to training",
    "RestoredOptimizer": "belongs to training",
}
NO_FUNCTION = re.compile(r"_.*|get|serialize|deserialize|.*custom_gradient.*|device_scope|.*_scope")
TF_PARTS = (
    r"array|bitwise|case|check|clip|cond|confusion_matrix|constant_op|control_flow|dtypes"
    r"|functional_ops|gen_(array|bitwise|clip|control_flow|data_flow|linalg|math|nn|ragged|set"
    r"|sparse|string)|histogram|init_|linalg_ops|manip|map_fn|math|nn|ragged_(?!io)\w+|sets"
    r"|shape_util|sort|sparse_\w*|special_math|stateless|string_ops|tensor_array|tensor_conversion"
    r"|tensor_getitem_override|variables|where_op|while_loop"
)


def modules(library: ModuleType) -> Iterator[ModuleType]:
    """Every module of the library but its tests."""
    for found in pkgutil.walk_packages(library.__path__, f"{library.__name__}."):
        if not re.search(r"_test$|\.testing|\.tests?\b|benchmark", found.name):
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                continue


def own(library: ModuleType) -> tuple[set[str], set[str]]:
    """Names of classes and of functions."""
    classes, functions = set(), set()
    for module in modules(library):
        part = module.__name__.split(".")[2]
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if part in CLASS_PARTS and inspect.isclass(value) and hasattr(value, "from_config"):
                classes.add(name)
            elif (
                part in FUNCTION_PARTS
                and inspect.isfunction(value)
                and not NO_FUNCTION.fullmatch(name)
            ):
                functions.add(name)
    return classes, functions


def aliases() -> set[str]:
    """The names that older files give to the same classes."""
    import tf_keras.src.layers.serialization as layers
    from keras.src import constraints, initializers, regularizers
    from keras.src import layers as keras_layers
    from tf_keras.src import initializers as tf_initializers

    layers.populate_deserializable_objects()
    tf_initializers.populate_deserializable_objects()
    tables: list[Any] = [
        vars(keras_layers),
        layers.LOCAL.ALL_OBJECTS,
        tf_initializers.LOCAL.ALL_OBJECTS,
        *(part.ALL_OBJECTS_DICT for part in (constraints, initializers, regularizers)),
    ]
    return {
        name
        for table in tables
        for name, value in table.items()
        if inspect.isclass(value) and hasattr(value, "from_config")
    }


def tensorflow_functions() -> list[str]:
    """What a TFOpLambda may call directly under `tf`: the functions of the modules that compute."""
    import tensorflow as tf

    allowed = re.compile(rf"tensorflow\.python\.(ops|framework)\.(\w+\.)*({TF_PARTS})\w*")
    wrong = re.compile(
        r"_.*|(py|numpy)_func.*|.*Variable.*|variable_creator.*|load.*|print|init_.*"
    )
    return sorted(
        name
        for name, value in vars(tf).items()
        if inspect.isfunction(value)
        and allowed.fullmatch(inspect.unwrap(value).__module__)
        and not wrong.fullmatch(name)
    )


def lists() -> dict[str, Any]:
    import keras
    import tf_keras

    parts = [own(keras.src), own(tf_keras.src)]
    classes = set().union(aliases(), *(part[0] for part in parts)) - set(REFUSED)
    functions = set().union(*(part[1] for part in parts))
    return {
        "keras": keras.__version__,
        "tf_keras": tf_keras.__version__,
        "classes": sorted(classes),
        "functions": sorted(functions),
        "tensorflow_functions": tensorflow_functions(),
        "refused": REFUSED,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="say whether it differs, write nothing"
    )
    text = json.dumps(lists(), indent=1) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET.name} is not that of the installed Keras and tf_keras")
    return 1


if __name__ == "__main__":
    sys.exit(main())
