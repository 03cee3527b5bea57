"""One step of a training and one of its validation, as graphs of TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taxiway.optimize.training.network import named_weights
from taxiway.optimize.training.objective import Objective, Tensors
from taxiway.optimize.training.rows import Rows
from taxiway.optimize.training.views import Views

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Loop:
    """A network with its views, objective and optimizer.

    size: rows that each call is filled up to, for a network of a fixed batch; filling counts nothing.
    """

    def __init__(
        self,
        network: Any,
        views: Views,
        objective: Objective,
        optimizer: Any,
        example: Rows,
        size: int | None,
    ) -> None:
        self.network, self.views, self.objective = network, views, objective
        self.optimizer, self._size = optimizer, size
        names = {id(variable): name for name, variable in named_weights(network).items()}
        self.names = [names[id(variable)] for variable in network.trainable_variables]
        optimizer.build(network.trainable_variables)
        specs = _specs(self._tensors(example))
        self._train, self._judge, self._diagnose = self._traced(specs)

    def train(self, rows: Rows) -> tuple[float, bool]:
        """Mean loss of the rows, and whether every gradient is finite; where it is not, nothing moved."""
        loss, finite = self._train(*self._tensors(rows))
        return float(loss), bool(finite)

    def judge(self, rows: Rows) -> tuple[float, float | None]:
        """Sums over the rows, without training: of the loss, and of those predicted rightly."""
        loss, correct = self._judge(*self._tensors(rows))
        return float(loss), None if correct is None else float(correct)

    def not_finite(self, rows: Rows) -> str | None:
        """What of a step on these rows is NaN or infinite first: an input, a weight, or a gradient."""
        import numpy as np

        from taxiway.model.inspect import keras_signature

        specs = keras_signature(self.network).inputs
        for spec, array in zip(specs, rows.inputs, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"input '{spec.name}' of the data"
        for name, variable in zip(self.names, self.network.trainable_variables, strict=True):
            if not np.isfinite(np.asarray(variable.value, np.float32)).all():
                return f"weight '{name}'"
        for name, gradient in zip(self.names, self._diagnose(*self._tensors(rows)), strict=True):
            if not np.isfinite(np.asarray(gradient, np.float32)).all():
                return f"the gradient of weight '{name}'"
        return None

    def _tensors(self, rows: Rows) -> tuple[Any, ...]:
        """Arguments of the graphs: inputs, labels, index, extras, and 1.0 for each row that counts."""
        import numpy as np

        extras, counts = self.objective.extras(rows), np.ones(len(rows), np.float32)
        if self._size is not None and len(rows) < self._size:
            fill = np.minimum(np.arange(self._size), len(rows) - 1)
            counts = (np.arange(self._size) < len(rows)).astype(np.float32)
            rows, extras = rows[fill], tuple(array[fill] for array in extras)
        labels = () if rows.labels is None else (rows.labels,)
        return rows.inputs, labels, rows.index, extras, counts

    def _traced(self, specs: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        import tensorflow as tf

        network, objective, views, names = self.network, self.objective, self.views, self.names
        trainable, others = network.trainable_variables, network.non_trainable_variables
        graph = tf.function(input_signature=specs, autograph=False)

        def forward(weights: Any, rows: Tensors, counts: Any, training: bool) -> Any:
            seen = [views.see(name, weight) for name, weight in zip(names, weights, strict=True)]
            outputs, state, penalties = network.stateless_call(
                seen,
                [variable.value for variable in others],
                _packed(network, rows.inputs),
                training=training,
                return_losses=True,
            )
            outputs = [_real(output) for output in tf.nest.flatten(outputs)]
            each = objective.loss(outputs, rows) * counts
            right = objective.correct(outputs, rows)
            return each, right, state, penalties

        def gradients(inputs: Any, labels: Any, index: Any, extras: Any, counts: Any) -> Any:
            rows = Tensors(inputs, labels[0] if labels else None, index, extras)
            weights = [tf.convert_to_tensor(variable.value) for variable in trainable]
            with tf.GradientTape() as tape:
                tape.watch(weights)
                each, _, state, penalties = forward(weights, rows, counts, True)
                loss = tf.reduce_sum(each) / tf.reduce_sum(counts)
                total = loss + sum(tf.cast(penalty, tf.float32) for penalty in penalties)
            found = tape.gradient(total, weights, unconnected_gradients="zero")
            return loss, [tf.convert_to_tensor(gradient) for gradient in found], state

        def train(inputs: Any, labels: Any, index: Any, extras: Any, counts: Any) -> Any:
            loss, found, state = gradients(inputs, labels, index, extras, counts)
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in (loss, *found)])

            def move() -> Any:
                self.optimizer.apply(found, trainable)
                for variable, value in zip(others, state, strict=True):
                    variable.assign(value)
                return tf.constant(True)

            return loss, tf.cond(finite, move, lambda: tf.constant(False))

        def judge(inputs: Any, labels: Any, index: Any, extras: Any, counts: Any) -> Any:
            rows = Tensors(inputs, labels[0] if labels else None, index, extras)
            weights = [variable.value for variable in trainable]
            each, right, _, _ = forward(weights, rows, counts, False)
            return tf.reduce_sum(each), None if right is None else tf.reduce_sum(right * counts)

        def diagnose(*arguments: Any) -> Any:
            return gradients(*arguments)[1]

        return graph(train), graph(judge), graph(diagnose)


def _packed(network: Any, inputs: tuple[Any, ...]) -> Any:
    """Inputs in the structure that the network is called with."""
    import tensorflow as tf

    structure = getattr(network, "_inputs_struct", network.inputs)
    if isinstance(structure, list) and len(inputs) == 1:
        structure = structure[0]
    return tf.nest.pack_sequence_as(structure, list(inputs))


def _real(output: Any) -> Any:
    """Losses are computed in float32; a tensor that is so stays itself, for Keras looks at what made it."""
    import tensorflow as tf

    return tf.cast(output, tf.float32) if output.dtype in (tf.float16, tf.bfloat16) else output


def _specs(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    import tensorflow as tf

    def spec(array: Array) -> Any:
        return tf.TensorSpec([None, *array.shape[1:]], array.dtype)

    specs: tuple[Any, ...] = tf.nest.map_structure(spec, arguments)
    return specs
