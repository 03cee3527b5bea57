"""How this CPU multiplies 8-bit integers, which decides the integer types that stay exact on it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IntegerTypes:
    """ONNX Runtime's names of the types, and whether weights keep to 7 bits."""

    activation: str
    weight: str
    reduce_range: bool


def integer_types(machine: str, flags: frozenset[str]) -> IntegerTypes:
    """The types for a CPU, as ONNX Runtime's quantization guide gives them
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    x86 without VNNI adds pairs of products in 16 bits, which saturates with 8-bit weights: they
    keep to 7. ARM kernels are made for signed activations.
    """
    if machine.lower() not in ("x86_64", "amd64", "i386", "i686"):
        return IntegerTypes("QInt8", "QInt8", reduce_range=False)
    vnni = not flags.isdisjoint(("avx512_vnni", "avx_vnni"))
    return IntegerTypes("QUInt8", "QInt8", reduce_range=not vnni)


def this_cpu() -> IntegerTypes:
    """The types for the CPU that runs this; one that does not show its flags counts as plain."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return integer_types(platform.machine(), frozenset(flags.split()))


def types_for(wanted: str | None, cpu: IntegerTypes) -> IntegerTypes:
    """The types that a recipe names as `u8s8` (activations, weights), or the CPU's own for None.

    Products of two unsigned bytes are added in 32 bits and cannot saturate; those with signed
    weights keep to the range that the CPU needs.
    """
    if wanted is None:
        return cpu
    names = {"u": "QUInt8", "s": "QInt8"}
    activation, weight = names[wanted[0]], names[wanted[2]]
    return IntegerTypes(activation, weight, cpu.reduce_range and weight == "QInt8")
