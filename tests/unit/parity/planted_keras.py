"""A CNN and a transformer encoder in Keras, converted to every format, with faults planted into the
converted ONNX and TFLite files.

The converters keep the names of the Keras layers in those of their operators, which is how a fault
finds its place. Needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Array = np.ndarray[Any, Any]
SAMPLES = 32
INPUTS = {"cnn": ("image", (20, 20, 3)), "encoder": ("tokens", (12, 24))}


def cnn() -> Any:
    """Input image [n, 20, 20, 3], output [n, 6]."""
    import keras
    from keras import layers as kl

    x = start = keras.Input((20, 20, 3), name="image")
    x = kl.BatchNormalization(name="stem_bn")(kl.Conv2D(8, 3, padding="same", name="stem")(x))
    x = short = kl.ReLU(name="stem_relu")(x)
    x = kl.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = kl.ReLU(6.0, name="depthwise_relu")(kl.BatchNormalization(name="depthwise_bn")(x))
    x = kl.Add(name="shortcut")([kl.Conv2D(8, 1, name="pointwise")(x), short])
    x = kl.MaxPooling2D(2, name="pool")(kl.Cropping2D(1, name="crop")(x))
    x = kl.Conv2D(12, 3, padding="same", activation="relu", name="mix")(x)
    x = keras.ops.round(x * 8.0) / 8.0
    x = kl.GlobalAveragePooling2D(name="gap")(x)
    x = kl.Dense(12, activation="tanh", name="hidden")(x)
    return keras.Model(start, kl.Dense(6, activation="softmax", name="classes")(x), name="cnn")


def encoder() -> Any:
    """Input tokens [n, 12, 24], output [n, 6]."""
    import keras
    from keras import layers as kl

    x = start = keras.Input((12, 24), name="tokens")
    x = kl.Dense(32, name="embed")(x)
    for layer in ("one", "two"):
        y = kl.LayerNormalization(name=f"{layer}_norm", epsilon=1e-5)(x)
        y = kl.MultiHeadAttention(4, 8, name=f"{layer}_attention", flash_attention=False)(y, y)
        x = kl.Add(name=f"{layer}_attended")([x, y])
        y = kl.LayerNormalization(name=f"{layer}_up_norm", epsilon=1e-5)(x)
        y = kl.Dense(32, activation="silu", name=f"{layer}_up")(y)
        x = kl.Add(name=f"{layer}_out")([x, kl.Dense(32, name=f"{layer}_down")(y)])
    x = kl.Cropping1D(1, name="crop")(x)
    x = kl.BatchNormalization(name="head_bn")(x)
    x = kl.ReLU(6.0, name="head_relu")(kl.Conv1D(32, 3, padding="same", name="local")(x))
    x = keras.ops.floor(x * 16.0) / 16.0
    x = kl.GlobalAveragePooling1D(name="gap")(x)
    return keras.Model(start, kl.Dense(6, name="classes")(x), name="encoder")


BUILDERS: dict[str, Callable[[], Any]] = {"cnn": cnn, "encoder": encoder}


@dataclass(frozen=True)
class Converted:
    """One model in every format, and samples by input name."""

    keras: Path
    saved_model: Path
    onnx: Path
    tflite: Path
    int8: Path
    samples: dict[str, Array]


def convert(name: str, folder: Path) -> Converted:
    """Build the model with weights as after training (no zero bias, no unit variance) and convert
    it with tf2onnx, the TensorFlow Lite converter and AI Edge Quantizer."""
    import keras
    import tensorflow as tf
    import tf2onnx
    from tf2onnx import tf_loader

    from taxiway.convert.ends import EndsConfig, with_sizes
    from taxiway.convert.keras_export import export
    from taxiway.model.inspect import describe

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(4)
    random = np.random.default_rng(0)
    model = BUILDERS[name]()
    for variable in model.weights:
        value = variable.numpy()
        if "variance" in variable.path:
            value = random.uniform(0.05, 0.6, value.shape)
        elif "gamma" in variable.path:
            value = random.uniform(0.5, 1.5, value.shape)
        elif value.ndim <= 1 or "bias" in variable.path:
            value = random.normal(0, 0.3, value.shape)
        variable.assign(value.astype(np.float32))
    entry, shape = INPUTS[name]
    samples = {entry: random.standard_normal((SAMPLES, *shape)).astype(np.float32)}
    model.save(folder / "model.keras")

    described = describe(folder / "model.keras", "keras")

    def serve(batch: int | None) -> Path:
        path = folder / f"saved_model_{batch}"
        export(described, path, with_sizes(described, EndsConfig(batch=batch)))
        return path

    free = serve(None)
    graph, inputs, outputs, renamed = tf_loader.from_saved_model(
        str(free), None, None, tag=["serve"], signatures=["serving_default"],
        return_tensors_to_rename=True,
    )  # fmt: skip
    proto, _ = tf2onnx.convert.from_graph_def(
        graph, input_names=inputs, output_names=outputs, tensors_to_rename=renamed, opset=17
    )
    onnx.save(proto, folder / "model.onnx")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(serve(1)))
    (folder / "model.tflite").write_bytes(converter.convert())
    _quantize(folder / "model.tflite", folder / "int8.tflite", samples)
    return Converted(
        keras=folder / "model.keras",
        saved_model=free,
        onnx=folder / "model.onnx",
        tflite=folder / "model.tflite",
        int8=folder / "int8.tflite",
        samples=samples,
    )


def _quantize(source: Path, target: Path, samples: dict[str, Array]) -> None:
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    content = source.read_bytes()
    writer = quantizer.Quantizer(content)
    writer.add_static_config(
        ".*", qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    recipe = recipe_manager.RecipeManager()
    recipe.load_quantization_recipe(writer.get_quantization_recipe())
    collector = calibrator.Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
    for at in range(SAMPLES):
        one = {name: array[at : at + 1] for name, array in samples.items()}
        collector.calibrate({"serving_default": [one]}, recipe)
    ranges = collector.get_model_qsvs()
    target.write_bytes(writer.quantize(ranges, enable_progress_report=False).quantized_model)


# --- faults in the ONNX file ----------------------------------------------------------------------


def find(model: Any, kind: str, part: str) -> Any:
    """The node of a type whose name ends with `part`, or, if none does, the first that holds it."""
    nodes = [node for node in model.graph.node if node.op_type == kind and part in node.name]
    return next((node for node in nodes if node.name.endswith(part)), nodes[0])


def _constant(model: Any, node: Any) -> int:
    names = {tensor.name for tensor in model.graph.initializer}
    return next(at for at, name in enumerate(node.input) if name in names)


def change(model: Any, node: Any, at: int, edit: Callable[[Array], Array]) -> None:
    """Give the node a changed copy of a constant input; others that take it keep theirs."""
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    value = edit(numpy_helper.to_array(values[node.input[at]]))
    name = f"{node.name}_planted_{at}"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    node.input[at] = name


def attribute(node: Any, name: str, value: Any) -> None:
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def kind(node: Any, new: str) -> None:
    node.op_type = new
    if new not in ("GlobalMaxPool", "ReduceMax"):
        del node.attribute[:]


@dataclass(frozen=True)
class OnnxFault:
    """A change of the node found by `place` = (type, part of the name)."""

    model: str
    kind: str
    place: tuple[str, str]
    edit: Callable[[Any, Any], object]

    def plant(self, source: Path, target: Path) -> str:
        """Write the changed model; the name of the node."""
        model = onnx.load(str(source))
        node = find(model, *self.place)
        self.edit(model, node)
        onnx.save(model, str(target))
        return str(node.name)


def _edit(at: int | None, change_: Callable[[Array], Array]) -> Callable[[Any, Any], object]:
    return lambda m, n: change(m, n, _constant(m, n) if at is None else at, change_)


def _roll(axis: int) -> Callable[[Array], Array]:
    return lambda w: np.roll(w, 1, axis)


def _shift_crop(model: Any, node: Any) -> None:
    for at in (1, 2):
        change(model, node, at, lambda v: np.where(np.abs(v) == 1, v - 1, v))


ONNX_FAULTS = [
    OnnxFault(model, name, place, edit)
    for model, table in {
        "cnn": {
            # 1 / sqrt(variance + epsilon) is folded into a factor: 1e-3 became 1e-2.
            "wrong_epsilon": (("Mul", "stem_bn_1/batchnorm/mul_1"), _edit(None, lambda w: w * 0.985)),
            "swapped_axis": (("Softmax", "classes_1/Softmax"), lambda m, n: attribute(n, "axis", 0)),
            "transposed_weight": (("MatMul", "hidden_1/MatMul"), _edit(1, np.transpose)),
            "dropped_bias": (("Conv", "pointwise_1/BiasAdd"), _edit(2, np.zeros_like)),
            "saturated_scale": (("Clip", "depthwise_relu"), _edit(2, lambda v: v / 2)),
            "wrong_padding": (("Conv", "mix_1/BiasAdd"), lambda m, n: attribute(n, "pads", [2, 2, 0, 0])),
            "rounding": (("Round", "ound"), lambda m, n: kind(n, "Floor")),
            "wrong_activation": (("Relu", "stem_relu"), lambda m, n: kind(n, "Identity")),
            "stale_batch_norm": (("Add", "depthwise_bn_1/batchnorm/add_1"), _edit(None, np.zeros_like)),
            "permuted_channels": (("Conv", "depthwise_1"), _edit(1, _roll(0))),
            "off_by_one_crop": (("Slice", "crop"), _shift_crop),
            "wrong_reduction": (("ReduceMean", "gap"), lambda m, n: kind(n, "ReduceMax")),
        },
        "encoder": {
            "wrong_epsilon": (("Add", "one_up_norm_1/add"), _edit(None, lambda e: e + 0.01)),
            "swapped_axis": (("Softmax", "two_attention_1/Softmax"), lambda m, n: attribute(n, "axis", -2)),
            "transposed_weight": (("MatMul", "one_up_1/Tensordot/MatMul"), _edit(1, np.transpose)),
            "dropped_bias": (("Add", "two_down_1/BiasAdd"), _edit(None, np.zeros_like)),
            "saturated_scale": (("Clip", "head_relu"), _edit(2, lambda v: v / 4)),
            "wrong_padding": (("Conv", "local_1"), lambda m, n: attribute(n, "pads", _one_sided(n))),
            "rounding": (("Floor", "loor"), lambda m, n: kind(n, "Round")),
            "wrong_activation": (("Sigmoid", "one_up_1"), lambda m, n: kind(n, "HardSigmoid")),
            "stale_batch_norm": (("Mul", "head_bn_1/batchnorm/mul_1"), _edit(None, np.ones_like)),
            "permuted_channels": (("MatMul", "one_attention_1/value_1/MatMul"), _edit(1, _roll(1))),
            "off_by_one_crop": (("Slice", "crop"), _shift_crop),
            "wrong_reduction": (("ReduceMean", "gap"), lambda m, n: kind(n, "ReduceMax")),
        },
    }.items()
    for name, (place, edit) in table.items()
]  # fmt: skip
"""Twelve kinds in each model."""


def _one_sided(node: Any) -> list[int]:
    """The node's padding, all of it at the front."""
    pads = next(list(item.ints) for item in node.attribute if item.name == "pads")
    half = len(pads) // 2
    return [a + b for a, b in zip(pads[:half], pads[half:], strict=True)] + [0] * half


# --- faults in the TFLite files -------------------------------------------------------------------


@dataclass(frozen=True)
class TFLiteFault:
    """A change of the first operator of type `op` whose output's name holds `part`."""

    model: str
    kind: str
    op: str
    part: str
    edit: Callable[[Any, Any, Any], None]

    def plant(self, source: Path, target: Path) -> str:
        """Write the changed model; the name of the operator's first output."""
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils

        model = flatbuffer_utils.read_model(str(source))
        graph = model.subgraphs[0]
        wanted = getattr(schema.BuiltinOperator, self.op)
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = graph.tensors[operator.outputs[0]].name.decode()
            if max(code.builtinCode, code.deprecatedBuiltinCode) == wanted and self.part in name:
                self.edit(model, graph, operator)
                target.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
                return str(name)
        raise LookupError(f"no {self.op} with '{self.part}'")


def _weights(at: int, edit: Callable[[Array], Array]) -> Callable[[Any, Any, Any], None]:
    def planted(model: Any, graph: Any, operator: Any) -> None:
        import copy

        from ai_edge_litert import schema_py_generated as schema

        tensor = copy.copy(graph.tensors[operator.inputs[at]])
        kinds = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT8: np.int8}
        dtype = kinds.get(tensor.type, np.int32)
        stored = np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype)
        value = np.ascontiguousarray(edit(stored.reshape(tensor.shape)), dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        tensor.buffer, tensor.name = len(model.buffers), b"planted"
        model.buffers.append(buffer)
        operator.inputs[at] = len(graph.tensors)
        graph.tensors.append(tensor)

    return planted


def _option(name: str, value: Any) -> Callable[[Any, Any, Any], None]:
    return lambda model, graph, operator: setattr(operator.builtinOptions, name, value)


def _operator(kind_: str) -> Callable[[Any, Any, Any], None]:
    def planted(model: Any, graph: Any, operator: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind_)
        code.version = 2 if kind_.endswith("POOL_2D") else 1
        operator.opcodeIndex = len(model.operatorCodes)
        model.operatorCodes.append(code)

    return planted


def _narrow(factor: float) -> Callable[[Any, Any, Any], None]:
    """Divide the scale of the output: it saturates."""

    def planted(model: Any, graph: Any, operator: Any) -> None:
        quantization = graph.tensors[operator.outputs[0]].quantization
        quantization.scale = [float(scale) / factor for scale in quantization.scale]

    return planted


TFLITE_FAULTS = [
    TFLiteFault("cnn", "permuted_channels", "DEPTHWISE_CONV_2D", "depthwise", _weights(1, _roll(-1))),
    TFLiteFault("cnn", "dropped_bias", "CONV_2D", "pointwise", _weights(2, np.zeros_like)),
    TFLiteFault("cnn", "wrong_activation", "CONV_2D", "stem", _option("fusedActivationFunction", 0)),
    TFLiteFault("cnn", "wrong_pooling", "MAX_POOL_2D", "pool", _operator("AVERAGE_POOL_2D")),
    TFLiteFault("cnn", "stale_batch_norm", "CONV_2D", "stem", _weights(1, lambda w: w * 0.8)),
    TFLiteFault("encoder", "transposed_weight", "FULLY_CONNECTED", "one_up_1", _weights(1, np.transpose)),
    TFLiteFault("encoder", "dropped_bias", "FULLY_CONNECTED", "two_down", _weights(2, np.zeros_like)),
    TFLiteFault("encoder", "wrong_activation", "LOGISTIC", "one_up", _operator("TANH")),
    TFLiteFault("encoder", "wrong_scale", "SOFTMAX", "two_attention", _option("beta", 2.0)),
]  # fmt: skip
INT8_FAULTS = [
    TFLiteFault("cnn", "saturated_scale", "CONV_2D", "stem", _narrow(3)),
    TFLiteFault("cnn", "dropped_bias", "CONV_2D", "pointwise", _weights(2, np.zeros_like)),
    TFLiteFault("cnn", "permuted_channels", "CONV_2D", "mix", _weights(1, _roll(0))),
    TFLiteFault("encoder", "saturated_scale", "ADD", "one_attended", _narrow(3)),
    TFLiteFault("encoder", "transposed_weight", "FULLY_CONNECTED", "one_up_1", _weights(1, np.transpose)),
    TFLiteFault("encoder", "dropped_bias", "FULLY_CONNECTED", "two_down", _weights(2, np.zeros_like)),
]  # fmt: skip
