"""Between a Keras file and a network that is trained: loading, names of weights, saving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.promises import Promise
from taxiway.plugins import Context


def load_network(model: Model, context: Context) -> Any:
    """The `keras.Model` of a Keras file, with every weight trainable, seeded by `context.seed`.

    An .h5 of Keras 2 that only tf_keras reads is rebuilt in Keras 3. Layers that were frozen are
    trained, too, for a pass changes their weights; a frozen BatchNormalization stays so, for its
    statistics are not the data's. Raises StepError that names a weight that is not finite, or the
    layer that cannot be rebuilt.
    """
    from taxiway.model.load_keras import library_of, load_keras
    from taxiway.optimize.training.seeds import fix_seeds

    fix_seeds(context.seed)
    network = load_keras(model.path, model.trusted)
    if library_of(network) == "tf_keras":
        from taxiway.optimize.training.rebuild import rebuilt

        network = rebuilt(network, model)
    _thaw(network)
    check_finite(network)
    return network


def _thaw(network: Any) -> None:
    import keras

    layers = list(network._flatten_layers())
    frozen = [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable
    ]
    # Setting it for a network does not reach all of its layers, and for a layer those inside it, too.
    for layer in layers:
        layer.trainable = True
    for layer in frozen:
        layer.trainable = False


def named_weights(network: Any) -> dict[str, Any]:
    """Weight name -> `keras.Variable`, trainable ones first, in the network's order.

    The name is Keras's path, such as `conv1/kernel`; where nested networks use one twice, the later
    one gets `#2`. Seed states are no weights.
    """
    names: dict[str, Any] = {}
    for variable in (*network.trainable_weights, *network.non_trainable_weights):
        path, number = variable.path, 2
        while path in names:
            path, number = f"{variable.path}#{number}", number + 1
        names[path] = variable
    return names


def check_finite(network: Any) -> None:
    """Raise StepError that names the first weight that holds NaN or an infinite value."""
    import numpy as np

    for name, variable in named_weights(network).items():
        values = np.asarray(variable.value)
        if values.dtype.kind not in "fV":
            continue
        bad = int(np.count_nonzero(~np.isfinite(values.astype(np.float32))))
        if bad:
            raise StepError(
                f"weight '{name}' is not finite: {bad:,} of {values.size:,} values are NaN or infinite",
                "train the model anew, or take an earlier checkpoint of it",
            )


def save_network(
    network: Any, before: Model, context: Context, promises: Sequence[Promise] = ()
) -> Model:
    """Write the network to `context.workdir` and hold it against the model it came from.

    Equal weights give equal bytes. promises: new ones; each takes the place of an earlier one of its
    kind and weight, the others are carried on. Raises StepError where inputs or outputs changed or a
    weight is not finite.
    """
    from taxiway.model.save_keras import save_keras
    from taxiway.optimize.result import optimized

    check_finite(network)
    path = save_keras(network, context.workdir / "model.keras")
    return replace(optimized(before, path), promises=carried(before.promises, promises))


def carried(earlier: Sequence[Promise], new: Sequence[Promise]) -> tuple[Promise, ...]:
    """All promises after a pass, one of each kind and weight."""
    kept = {(type(promise), promise.weight): promise for promise in (*earlier, *new)}
    return tuple(kept.values())
