"""The precision that a model computes in, read from its file without loading its weights."""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from taxiway.model import Model
from taxiway.parity.tolerance import PRECISIONS, Name
from taxiway.safety.ort_model import graphs, opened
from taxiway.safety.protobuf import BYTES, VARINT, Malformed, fields, submessages, text

_QUANTIZED_OPS = {
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "ConvInteger",
    "QLinearConv",
    "QLinearMatMul",
    "DequantizeLinear",
}
_INT4_OPS = {"MatMulNBits", "MatMulBnb4"}
_READS_INTEGERS = {"Cast", "Gather", "GatherBlockQuantized"}
"""With an integer weight as their first input: weight-only quantization, as DequantizeLinear is."""
_MICROSOFT = "com.microsoft"
_QUANTIZED_PREFIXES = ("QLinear", "QGemm", "QAttention", "DynamicQuantize")
_FLOAT16, _BFLOAT16, _INT16, _INT4, _INT8 = 10, 16, (4, 5), (21, 22), (2, 3)
"""TensorProto.DataType of onnx.proto."""


def precision_of(model: Model) -> Name:
    """The coarsest precision of a model's weights and arithmetic.

    ONNX: types of initializers, targets of Cast, quantized operators. TFLite: types of the tensors.
    Keras: its dtype policies; else the dtypes of inputs and outputs.
    """
    found: set[Name] = {"fp32"}
    found.update(_of_signature(model))
    # A file that cannot be read is the loader's to report.
    with suppress(Malformed, OSError, ValueError, KeyError, zipfile.BadZipFile):
        if model.format == "onnx":
            found.update(_onnx(model.path))
        elif model.format == "ort":
            found.update(_ort(model.path))
        elif model.format == "tflite":
            found.update(_tflite(model.path))
        elif model.format == "keras":
            found.update(_keras(model.path))
    return max(found, key=list(PRECISIONS).index)


def _of_signature(model: Model) -> Iterator[Name]:
    for spec in (*model.signature.inputs, *model.signature.outputs):
        if spec.dtype == "float16":
            yield "fp16"
        elif spec.dtype == "bfloat16":
            yield "bf16"
        elif spec.quantized:
            yield "int16" if spec.dtype == "int16" else "int8"


def _onnx(path: Path) -> set[Name]:
    """Field numbers are those of onnx.proto. The file is mapped, not read: weights stay on disk."""
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found: set[Name] = set()
    types: set[int] = set()
    quantized = False
    for nodes, initializers in _graphs(data):
        types.update(_number(tensor, 2) for tensor in initializers)
        matrices = {_text(t, 8) for t in initializers if _is_integer_matrix(t)}
        for node in nodes:
            op, domain = _text(node, 4), _text(node, 7)
            if op == "Cast":
                casts = [_number(a, 3) for a in submessages(node, 5) if _text(a, 1) == "to"]
                types.update(kind for kind in casts if kind in (_FLOAT16, _BFLOAT16))
            if op in _INT4_OPS:
                found.add("int4")
            quantized |= op in _READS_INTEGERS and _text(node, 1) in matrices
            quantized |= _quantized(op, domain)
    return found | _of_types(types, quantized)


def _quantized(op: str, domain: str) -> bool:
    """Whether an operator computes with integers, or stands between them and real numbers."""
    return op in _QUANTIZED_OPS or (domain == _MICROSOFT and op.startswith(_QUANTIZED_PREFIXES))


def _of_types(types: set[int], quantized: bool) -> set[Name]:
    found: set[Name] = set()
    if _FLOAT16 in types:
        found.add("fp16")
    if _BFLOAT16 in types:
        found.add("bf16")
    if quantized:
        found.add("int4" if types & {*_INT4} else "int16" if types & {*_INT16} else "int8")
    return found


def _ort(path: Path) -> set[Name]:
    """Operators and types of initializers, as in ONNX; a Cast says its type in an attribute, too."""
    found: set[Name] = set()
    types: set[int] = set()
    quantized = False
    with opened(path) as session:
        for graph in graphs(session):
            types.update(tensor.number("DataType") for tensor in graph.tables("Initializers"))
            for node in graph.tables("Nodes"):
                op = node.text("OpType")
                if op == "Cast":
                    casts = [a.number("I") for a in node.tables("Attributes")]
                    types.update(kind for kind in casts if kind in (_FLOAT16, _BFLOAT16))
                if op in _INT4_OPS:
                    found.add("int4")
                quantized |= _quantized(op, node.text("Domain"))
    return found | _of_types(types, quantized)


def _is_integer_matrix(tensor: memoryview) -> bool:
    dims = 0
    for field in fields(tensor):
        if field.number == 1:
            # Packed, or one field for each.
            dims += 1 if field.wire_type == VARINT else sum(byte < 0x80 for byte in field.data)
    return dims > 1 and _number(tensor, 2) in (*_INT8, *_INT4)


def _graphs(data: mmap.mmap) -> Iterator[tuple[list[memoryview], list[memoryview]]]:
    """(nodes, initializers) of the graph, of the bodies of control flow, and of functions."""
    stack = list(submessages(data, 7))
    functions = [list(submessages(function, 7)) for function in submessages(data, 25)]
    for nodes in functions:
        yield nodes, []
        stack += [body for node in nodes for body in submessages(node, 5, 6)]
    while stack:
        graph = stack.pop()
        nodes = list(submessages(graph, 1))
        yield nodes, list(submessages(graph, 5))
        stack += [body for node in nodes for body in submessages(node, 5, 6)]


def _number(message: memoryview, number: int) -> int:
    return next(
        (f.value for f in fields(message) if f.number == number and f.wire_type == VARINT), 0
    )


def _text(message: memoryview, number: int) -> str:
    return next(
        (text(f.data) for f in fields(message) if f.number == number and f.wire_type == BYTES), ""
    )


def _tflite(path: Path) -> set[Name]:
    """TFLite's schema: FLOAT16 tensors, and integer ones with a scale."""
    from ai_edge_litert import schema_py_generated as schema

    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    model = schema.Model.GetRootAs(data, 0)
    tensors = [
        graph.Tensors(at)
        for graph in (model.Subgraphs(at) for at in range(model.SubgraphsLength()))
        for at in range(graph.TensorsLength())
    ]
    types = schema.TensorType
    names: dict[int, Name] = {types.FLOAT16: "fp16"}
    scaled: dict[int, Name] = {
        types.INT8: "int8",
        types.UINT8: "int8",
        types.INT16: "int16",
        types.INT4: "int4",
    }
    found = {names[tensor.Type()] for tensor in tensors if tensor.Type() in names}
    for tensor in tensors:
        quantization = tensor.Quantization()
        if quantization is not None and quantization.ScaleLength() and tensor.Type() in scaled:
            found.add(scaled[tensor.Type()])
    return found


def _keras(path: Path) -> set[Name]:
    """A `.keras` archive's dtype policies, as its config.json spells them."""
    if not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode("utf-8", "replace")
    found: set[Name] = set()
    if '"mixed_float16"' in config or '"float16"' in config:
        found.add("fp16")
    if '"mixed_bfloat16"' in config or '"bfloat16"' in config:
        found.add("bf16")
    return found
