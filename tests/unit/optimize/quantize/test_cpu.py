from __future__ import annotations

import pytest

from taxiway.optimize.quantize.cpu import IntegerTypes, integer_types, this_cpu


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", {"avx2"}, IntegerTypes("QUInt8", "QInt8", True)),
        ("x86_64", {"avx2", "avx_vnni"}, IntegerTypes("QUInt8", "QInt8", False)),
        ("AMD64", {"avx512f", "avx512_vnni"}, IntegerTypes("QUInt8", "QInt8", False)),
        ("AMD64", set(), IntegerTypes("QUInt8", "QInt8", True)),
        ("aarch64", set(), IntegerTypes("QInt8", "QInt8", False)),
        ("arm64", set(), IntegerTypes("QInt8", "QInt8", False)),
    ],
    ids=["avx2", "avx-vnni", "avx512-vnni", "windows", "linux arm", "mac"],
)
def test_types_by_cpu(machine: str, flags: set[str], expected: IntegerTypes) -> None:
    assert integer_types(machine, frozenset(flags)) == expected


def test_types_are_names_that_onnxruntime_knows() -> None:
    from onnxruntime.quantization import QuantType

    types = this_cpu()
    assert {types.activation, types.weight} <= set(QuantType.__members__)
