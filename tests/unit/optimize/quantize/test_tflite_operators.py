"""Operator by operator: what is kept, what is refused, and that LiteRT computes the right numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from edited_tflite import edited

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.promises import Clusters
from taxiway.model.runners import open_runner
from taxiway.plugins import Context, registry

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]
KNOWN = {"QUANTIZE", "DEQUANTIZE"}
SAMPLES = 64


def converted(folder: Path, function: Any, **inputs: Any) -> Model:
    """A tf.function as a .tflite; inputs: name -> shape of float32."""
    import tensorflow as tf

    specs = [tf.TensorSpec(shape, tf.float32, name) for name, shape in inputs.items()]
    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    tf.saved_model.save(tf.Module(), str(folder / "sm"), signatures=concrete)
    path = folder / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "sm")).convert())
    return describe(path, "tflite")


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Two inputs, two outputs; a residual, a depthwise and a dead channel, a padded maximum, an operator
    that no quantizer knows, and a product with a constant."""
    import tensorflow as tf

    random = np.random.default_rng(0)

    def weight(*shape: int) -> Array:
        size = np.prod(shape[:-1])
        return (random.normal(size=shape) / np.sqrt(size)).astype(np.float32)

    first, second, depthwise, mixing = (
        weight(3, 3, 3, 8),
        weight(1, 1, 8, 8),
        weight(3, 3, 8, 1) * 3,
        weight(1, 8, 6),
    )
    # As pruning leaves them: nothing of the input comes through, the bias does.
    first[..., 2], depthwise[:, :, 3] = 0, 0
    bias = np.arange(8, dtype=np.float32) / 4
    head = weight(14, 4)

    def network(image: Any, extra: Any) -> dict[str, Any]:
        x = tf.nn.relu(tf.nn.conv2d(image, first, 1, "SAME") + bias)
        y = tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], "SAME") + bias
        x = x + tf.nn.relu(tf.nn.conv2d(y, second, 1, "SAME"))
        edge = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-np.inf)
        x = tf.nn.leaky_relu(tf.nn.max_pool2d(edge, 3, 2, "VALID"))
        rows = tf.reshape(x, [1, 16, 8])
        mixed = tf.matmul(rows, mixing)
        pooled = tf.concat([tf.reduce_mean(rows, 1), tf.reduce_mean(mixed, 1)], 1)
        return {"scores": tf.nn.softmax(pooled @ head + extra), "mixed": mixed}

    folder = tmp_path_factory.mktemp("branches")
    return converted(folder, network, image=[1, 8, 8, 3], extra=[1, 4])


@pytest.fixture(scope="module")
def samples() -> dict[str, Array]:
    random = np.random.default_rng(1)
    return {
        "image": random.normal(size=(SAMPLES, 8, 8, 3)).astype(np.float32),
        "extra": random.normal(size=(SAMPLES, 4)).astype(np.float32),
    }


def quantized(
    model: Model,
    name: str,
    kept: Mapping[str, Any],
    workdir: Path,
    data: Any,
    **options: Any,
) -> Model:
    plugin = registry().get("optimize", name)
    step: Any = plugin.implementation("tflite")
    workdir.mkdir()
    config = msgspec.convert(options, plugin.step.Config)
    result: Model = step.quantize(model, config, kept, Context(workdir=workdir, data=data))
    return result


def operators(model: Model, name: str, **options: Any) -> Any:
    plugin = registry().get("optimize", name)
    step: Any = plugin.implementation("tflite")
    return step.operators(model, msgspec.convert(options, plugin.step.Config))


def decibels(before: Model, after: Model, inputs: dict[str, Array]) -> float:
    """Signal over error of the worst output."""
    one, two = (open_runner(model).predict(inputs) for model in (before, after))
    return min(
        float(10 * np.log10((one[k] ** 2).mean() / (((one[k] - two[k]) ** 2).mean() + 1e-30)))
        for k in one
    )


def float_operators(model: Model) -> list[str]:
    """Types of the operators that give float32, but for conversions."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model.path.read_bytes()))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    graph = parsed.subgraphs[0]
    return [
        name
        for op in graph.operators
        if graph.tensors[op.outputs[0]].type == schema.TensorType.FLOAT32
        and (name := names[parsed.operatorCodes[op.opcodeIndex].builtinCode]) not in KNOWN
    ]


RIGHT = [
    ("quantize_static", {}, 27),
    ("quantize_static", {"symmetric": True}, 22),
    ("quantize_static", {"granularity": "per_tensor"}, 25),
    ("quantize_static", {"calibration": {"samples": SAMPLES, "method": "percentile"}}, 25),
    ("quantize_int16", {}, 35),
    ("quantize_dynamic", {}, 30),
    ("quantize_dynamic", {"granularity": "per_tensor"}, 30),
    ("quantize_weights", {}, 35),
    ("quantize_weights", {"bits": 4}, 12),
    ("float16", {}, 60),
]


@pytest.mark.parametrize(
    ("name", "options", "least"),
    RIGHT,
    ids=[f"{name} {options or ''}" for name, options, _ in RIGHT],
)
def test_litert_computes_nearly_the_same(
    name: str,
    options: dict[str, Any],
    least: float,
    branches: Model,
    samples: dict[str, Array],
    array_dataset: Any,
    optimize: Any,
) -> None:
    if name in ("quantize_static", "quantize_int16"):
        options = {"calibration": {"samples": SAMPLES}, **options}
    result = optimize(branches, name, array_dataset(**samples), **options)
    assert decibels(branches, result, samples) > least


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_each_operator_can_be_kept_alone(
    precision: Any, branches: Model, samples: dict[str, Array], array_dataset: Any, tmp_path: Path
) -> None:
    options = {"calibration": {"samples": SAMPLES}}
    data = array_dataset(**samples)
    plain = quantized(branches, "quantize_static", {}, tmp_path / "all", data, **options)
    unknown = float_operators(plain)
    assert unknown == ["LEAKY_RELU"]
    found = operators(branches, "quantize_static")
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "SOFTMAX", "BATCH_MATMUL"} <= {
        op.type for op in found
    }
    for number, operator in enumerate(found):
        kept = quantized(
            branches,
            "quantize_static",
            {operator.name: precision},
            tmp_path / str(number),
            data,
            **options,
        )
        assert sorted(float_operators(kept)) == sorted([*unknown, operator.type]), operator
        assert decibels(branches, kept, samples) > 25, operator
        heavier = kept.size - plain.size
        assert not operator.weights or heavier < operator.weights + 2000, operator


def test_operators_that_stay_float32_are_told(
    branches: Model, samples: dict[str, Array], array_dataset: Any, tmp_path: Path
) -> None:
    plugin = registry().get("optimize", "quantize_static")
    step: Any = plugin.implementation("tflite")
    config = msgspec.convert(
        {"calibration": {"samples": SAMPLES}, "exclude": ["SOFTMAX"]}, plugin.step.Config
    )
    told: dict[str, Any] = {}
    context = Context(workdir=tmp_path, data=array_dataset(**samples), tell=told.__setitem__)
    step.run(branches, config, context)
    assert told["float32 operators"] == {"LEAKY_RELU": 1, "SOFTMAX": 1}


def test_names_that_contain_each_other_and_special_characters(
    branches: Model, samples: dict[str, Array], array_dataset: Any, tmp_path: Path
) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(branches.path.read_bytes()))
    graph = parsed.subgraphs[0]
    names = [b"conv", b"conv1", b"a;conv", b"conv;", b"conv.*", b"(conv", b"conv\\Z", b""]
    outputs = [op.outputs[0] for op in graph.operators if op.outputs[0] not in graph.outputs]
    for name, index in zip(names, outputs, strict=False):
        graph.tensors[index].name = name
    path = tmp_path / "named.tflite"
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))
    model = describe(path, "tflite")
    found = operators(model, "quantize_static")
    assert len({operator.name for operator in found}) == len(found)
    kept = quantized(
        model,
        "quantize_static",
        {found[0].name: "float32"},
        tmp_path / "kept",
        array_dataset(**samples),
        calibration={"samples": SAMPLES},
    )
    assert sorted(float_operators(kept)) == sorted(["LEAKY_RELU", found[0].type])


def test_samples_are_run_once_for_many_tries(
    branches: Model, samples: dict[str, Array], array_dataset: Any, tmp_path: Path
) -> None:
    plugin = registry().get("optimize", "quantize_static")
    step: Any = plugin.implementation("tflite")
    config = msgspec.convert({"calibration": {"samples": SAMPLES}}, plugin.step.Config)
    data = array_dataset(**samples)
    for number, operator in enumerate(step.operators(branches, config)[:3]):
        (tmp_path / str(number)).mkdir()
        context = Context(workdir=tmp_path / str(number), data=data)
        step.quantize(branches, config, {operator.name: "float32"}, context)
    assert sum(rows for _, rows in data.reads) == SAMPLES


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["NaN", "Inf"])
@pytest.mark.parametrize(
    "name", ["quantize_static", "quantize_int16", "quantize_dynamic", "quantize_weights", "float16"]
)
def test_a_weight_that_is_not_finite_is_named(
    name: str,
    value: float,
    branches: Model,
    samples: dict[str, Array],
    array_dataset: Any,
    optimize: Any,
    tmp_path: Path,
) -> None:
    named: list[str] = []

    def spoil(tensor: str, values: Array) -> Array:
        if values.shape == (8, 3, 3, 3):
            values[1, 2, 0, 0] = value
            named.append(tensor)
        return values

    broken = edited(branches, tmp_path / "broken.tflite", spoil)
    options = {"calibration": {"samples": SAMPLES}} if "static" in name or "16" in name[-3:] else {}
    options = {} if name == "float16" else options
    with pytest.raises(StepError, match="the first at") as caught:
        optimize(broken, name, array_dataset(**samples), **options)
    assert named[0] in str(caught.value)


def test_an_activation_that_is_not_finite_is_named_unless_its_operators_are_left_out(
    branches: Model, samples: dict[str, Array], array_dataset: Any, optimize: Any
) -> None:
    image = samples["image"].copy()
    image[3, 0, 0, 0] = np.nan
    data = array_dataset(image=image, extra=samples["extra"])
    options = {"calibration": {"samples": SAMPLES}}
    with pytest.raises(StepError, match="became NaN or Inf on the calibration samples") as caught:
        optimize(branches, "quantize_static", data, **options)
    assert "image" in str(caught.value)


def test_loops_stay_float32(
    array_dataset: Any, optimize: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import tensorflow as tf

    random = np.random.default_rng(0)
    recurrent, head = (
        (random.normal(size=shape) / 3).astype(np.float32) for shape in ((8, 8), (8, 3))
    )

    def network(x: Any) -> dict[str, Any]:
        _, state = tf.while_loop(
            lambda i, _: i < 3, lambda i, h: (i + 1, tf.tanh(h @ recurrent)), (0, x)
        )
        return {"y": state @ head}

    model = converted(tmp_path_factory.mktemp("loop"), network, x=[1, 8])
    inputs = {"x": random.normal(size=(SAMPLES, 8)).astype(np.float32)}
    assert [op.type for op in operators(model, "quantize_static")] == ["FULLY_CONNECTED"]
    result = optimize(
        model, "quantize_static", array_dataset(**inputs), calibration={"samples": SAMPLES}
    )
    assert decibels(model, result, inputs) > 30


@pytest.mark.parametrize(
    ("bits", "block"), [(8, 16), (8, 64), (4, None), (4, 64)], ids=lambda value: str(value)
)
def test_blocks_are_computed_as_they_are_stored(
    bits: int, block: int | None, tflite_mlp: Model, data: Any, optimize: Any, weights: Any
) -> None:
    """The first layer has 64 inputs, the second 32: a block of 64 fits the first only."""
    from taxiway.optimize.quantize.tflite.blocks import in_blocks

    options = {"bits": bits, **({"block": block} if block else {})}
    result = optimize(tflite_mlp, "quantize_weights", data, **options)
    images = data.inputs["pixels"][:100]
    values = images
    for kernel, bias in weights:
        size = block or 32
        stored = kernel.T
        if stored.shape[1] % size == 0:
            integers, scales = in_blocks(stored, size, bits)
            stored = (integers * scales).reshape(stored.shape)
        else:
            scale = np.abs(stored).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
            stored = np.rint(stored / scale) * scale
        values = values @ stored.T + bias
        if stored.shape[0] != 10:
            values = values.clip(0)
    (scores,) = open_runner(result).predict({"pixels": images}).values()
    np.testing.assert_allclose(scores, values, rtol=1e-4, atol=1e-4)


def test_a_block_that_fits_no_layer_is_refused(tflite_mlp: Model, data: Any, optimize: Any) -> None:
    with pytest.raises(StepError, match="block=256 fits the input size of no dense layer"):
        optimize(tflite_mlp, "quantize_weights", data, block=256)


def test_clustered_weights_keep_their_values(
    tflite_mlp: Model, data: Any, optimize: Any, tmp_path: Path
) -> None:
    def cluster(name: str, values: Array) -> Array:
        return np.round(values * 3 / np.abs(values).max()) * (np.abs(values).max() / 3)

    model = edited(tflite_mlp, tmp_path / "clustered.tflite", cluster)
    promises = (Clusters(weight="w", size=64 * 32, count=7),)
    model = msgspec.structs.replace(model, promises=promises)
    from taxiway.model.kept import broken

    for name in ("quantize_static", "quantize_dynamic", "quantize_weights"):
        result = optimize(model, name, data)
        assert broken(promises, result) == []
