"""One seed for everything that is random in a training."""

from __future__ import annotations

from typing import Any


def fix_seeds(seed: int) -> None:
    """Before a network is loaded or built: initial values and dropout follow from `seed`, and TensorFlow
    takes no operation whose result depends on the order of its threads."""
    import os

    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow as tf

    # Layers without a name of their own are numbered through the whole process.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed % 2**32)
    tf.config.experimental.enable_op_determinism()


def seed_generators(network: Any, seed: int) -> None:
    """Set the state of every seed generator, such as those of dropout, whatever a file said of it."""
    import numpy as np

    for number, variable in enumerate(_states(network)):
        drawn = np.random.SeedSequence([seed, number]).generate_state(2)
        variable.assign(drawn.astype(variable.dtype))


def _states(network: Any) -> list[Any]:
    return [
        variable
        for variable in network.non_trainable_variables
        if "seed_generator_state" in variable.path
    ]
