"""A recipe of AI Edge Quantizer: one configuration for all operators, and others for those that are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from taxiway.errors import StepError
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.granularity import Granularity
from taxiway.optimize.quantize.tflite.graph import FloatGraph, Scope, Scoped

MIN_MAX = "min_max_uniform_quantize"
FLOAT = "no_quantize"
HALF = "float_casting"
GRANULARITY: Mapping[Granularity, str] = {"per_channel": "CHANNELWISE", "per_tensor": "TENSORWISE"}


def integers(bits: int, granularity: str, symmetric: bool = True) -> Any:
    """How a tensor is stored as integers; granularity as AI Edge Quantizer names it."""
    from ai_edge_quantizer import qtyping

    return qtyping.TensorQuantizationConfig(
        num_bits=bits, symmetric=symmetric, granularity=qtyping.QuantGranularity(granularity)
    )


def integer_arithmetic(weights: Any, activations: Any = None) -> Any:
    """Operators that compute in integers; without `activations` they quantize their inputs as they run."""
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        activation_tensor_config=activations,
        weight_tensor_config=weights,
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )


def float_arithmetic(weights: Any) -> Any:
    """Operators that compute in float32, from weights that a DEQUANTIZE before them reads back.

    The quantizer's own list of operators has no 4-bit weights for depthwise and transposed
    convolutions, whose kernels do not take them. Here they get float32.
    """
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        weight_tensor_config=weights,
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
        skip_checks=weights.dtype == qtyping.TensorDataType.INT,
    )


def half_weights() -> Any:
    """Operators that compute in float32 from float16 weights."""
    from ai_edge_quantizer import qtyping

    return float_arithmetic(
        qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    )


def changed_by(graph: FloatGraph, config: Any, algorithm: str = MIN_MAX) -> list[Operator]:
    """The operators of `graph` that the quantizer changes with `config`, in graph order."""
    return [scoped.operator for scoped in graph.operators if _takes(scoped, config, algorithm)]


def _takes(scoped: Scoped, config: Any, algorithm: str) -> bool:
    from ai_edge_quantizer import algorithm_manager, qtyping

    if config.activation_tensor_config is None and not scoped.weighted:
        return False
    if not scoped.tensors and not scoped.weighted:
        return False
    if scoped.key == "DEPTHWISE_CONV_2D" and _is_dynamic_per_tensor(config):
        # LiteRT 2.3 reads scales that are not there, and gives NaN or other values on every run.
        return False
    try:
        algorithm_manager.check_op_quantization_config(
            algorithm, qtyping.TFLOperationName(scoped.key), config
        )
    except ValueError:
        return False
    return True


def _is_dynamic_per_tensor(config: Any) -> bool:
    return (
        config.activation_tensor_config is None
        and config.compute_precision.value == "INTEGER"
        and config.weight_tensor_config.granularity.value == GRANULARITY["per_tensor"]
    )


def quantizer_of(
    graph: FloatGraph,
    config: Any,
    kept: Mapping[str, Precision],
    algorithm: str = MIN_MAX,
    float_ends: bool = False,
) -> Any:
    """A Quantizer of AI Edge Quantizer that gives each operator of `graph` its precision.

    kept: operator name -> precision; float16 means float16 weights and int8_weights 8-bit ones, for an
    operator that has some.
    Operators of other graphs stay float32: no sample says what runs through them.
    float_ends: the model takes and gives float32.
    Raises StepError where no operator would change.
    """
    from ai_edge_quantizer import qtyping, quantizer

    changed = [scoped for scoped in graph.operators if _takes(scoped, config, algorithm)]
    if all(scoped.operator.name in kept for scoped in changed):
        left = " that this step may change" if kept else ""
        raise StepError(
            f"nothing was quantized: the model has no operator with float32 values{left} that AI "
            "Edge Quantizer knows",
            "drop the pass, or let it change more operators",
        )
    made = quantizer.Quantizer(graph.content)
    names = qtyping.TFLOperationName
    if config.activation_tensor_config is not None:
        made.update_quantization_recipe(".*", names.ALL_SUPPORTED, config, algorithm)
        # LiteRT 2.3 takes one scale for the constant of such a product, and gives other values with more.
        weights = replace(
            config.weight_tensor_config, granularity=qtyping.QuantGranularity.TENSORWISE
        )
        product = replace(config, weight_tensor_config=weights)
        made.update_quantization_recipe(".*", names.BATCH_MATMUL, product, algorithm)
    else:
        for operation in sorted({scoped.key for scoped in changed}):
            made.update_quantization_recipe(".*", names(operation), config, algorithm)
    if float_ends:
        for end in (names.INPUT, names.OUTPUT):
            made.update_quantization_recipe(".*", end, algorithm_key=FLOAT)
    half, eighth = half_weights(), float_arithmetic(integers(8, "CHANNELWISE"))
    floats = [scoped for scoped in graph.operators if scoped.operator.name in kept]
    _choose(
        made, [*floats, *graph.others, *graph.other_ends], qtyping.OpQuantizationConfig(), FLOAT
    )
    for precision, own, key in (("float16", half, HALF), ("int8_weights", eighth, MIN_MAX)):
        _choose(
            made,
            [s for s in floats if kept[s.operator.name] == precision and _takes(s, own, key)],
            own,
            key,
        )
    return made


def _choose(made: Any, chosen: Sequence[Scope], config: Any, algorithm: str) -> None:
    """Add `config` for these operators to a Quantizer's recipe."""
    from ai_edge_quantizer import qtyping

    for key in sorted({each.key for each in chosen}):
        scopes = [each.scope for each in chosen if each.key == key]
        made.update_quantization_recipe(
            _exactly(scopes), qtyping.TFLOperationName(key), config, algorithm
        )


def _exactly(scopes: Iterable[str]) -> str:
    """A regular expression for these scopes and no others: the quantizer searches for it anywhere,
    and a later one for the same type replaces an earlier one that is spelled alike."""
    return rf"\A(?:{'|'.join(map(re.escape, scopes))})\Z"
