from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto

from taxiway.safety.protobuf import Malformed, fields, submessages, text


@given(st.integers(0, 2**63 - 1), st.lists(st.text(max_size=20), max_size=5))
def test_agrees_with_protobuf(version: int, names: list[str]) -> None:
    nodes = [NodeProto(op_type=name) for name in names]
    message = ModelProto(ir_version=version, graph=GraphProto(node=nodes)).SerializeToString()
    assert next(field.value for field in fields(message) if field.number == 1) == version
    assert [text(name) for name in submessages(message, 7, 1, 4)] == names


@given(st.binary(max_size=200))
def test_any_bytes_end_in_fields_or_malformed(data: bytes) -> None:
    try:
        read = list(fields(data))
    except Malformed:
        return
    assert sum(len(field.data) for field in read) <= len(data)


@pytest.mark.parametrize(
    "data",
    [b"\x0a\xff\x01", b"\x08", b"\x08" + b"\xff" * 11, b"\x0b", b"\x00\x00", b"\x0d\x00"],
    ids=["long-payload", "no-value", "endless-varint", "group", "field-0", "short-fixed32"],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(fields(data))
