"""A float .tflite as AI Edge Quantizer takes it: its content, and the operators by the scopes it knows them by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator

if TYPE_CHECKING:
    import numpy as np

WEIGHTED = frozenset(
    {
        *("BATCH_MATMUL", "CONV_2D", "CONV_2D_TRANSPOSE", "DEPTHWISE_CONV_2D"),
        *("EMBEDDING_LOOKUP", "FULLY_CONNECTED"),
    }
)
"""What the quantizer calls the operators whose second input may be a weight."""
STORED_SMALL = ("FLOAT16", "INT16", "INT8", "UINT8", "INT4", "INT2")


@dataclass(frozen=True)
class Scope:
    """What the quantizer calls the type of an operator or of a graph's end, and the text that its recipes
    match."""

    key: str
    scope: str


@dataclass(frozen=True)
class Scoped(Scope):
    """An operator.

    inputs: indices of tensors, -1 for one that is left out.
    tensors: indices of its float32 inputs and outputs that are computed while the model runs.
    constants: indices of its float32 inputs that are stored. weighted: one of them is a weight.
    """

    operator: Operator
    inputs: tuple[int, ...]
    tensors: tuple[int, ...]
    constants: tuple[int, ...]
    weighted: bool


class FloatGraph:
    """The graph of one signature of a float model.

    content: the file, with a signature and with names that are unique over all its graphs, for the
    quantizer needs both. parsed: its ModelT. signature: the key. index: of the signature's graph.
    """

    def __init__(self, model: Model) -> None:
        """Raises StepError where weights are stored in fewer bits or sparse: quantizing the rest
        gives files that LiteRT cannot run."""
        from ai_edge_litert.tools import flatbuffer_utils

        from taxiway.model.load_saved_model import choose_signature

        self.content = model.path.read_bytes()
        self.parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(self.content))
        _refuse_small_weights(self.parsed, model.path.name)
        signed, renamed = _with_signature(self.parsed), _with_unique_names(self.parsed)
        if signed or renamed:
            self.content = bytes(flatbuffer_utils.convert_object_to_bytearray(self.parsed))
            self.parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(self.content))
        keys = {entry.signatureKey.decode(): entry for entry in self.parsed.signatureDefs}
        self.signature = choose_signature(keys)
        self.index = keys[self.signature].subgraphIndex

    @cached_property
    def operators(self) -> tuple[Scoped, ...]:
        """Those of the signature's graph whose type the quantizer knows."""
        return tuple(self._scoped(self.parsed.subgraphs[self.index]))

    @cached_property
    def others(self) -> tuple[Scoped, ...]:
        """Those of other graphs: bodies of loops and branches, which calibration does not see."""
        graphs = self.parsed.subgraphs
        return tuple(
            scoped
            for index, graph in enumerate(graphs)
            if index != self.index
            for scoped in self._scoped(graph)
        )

    @cached_property
    def other_ends(self) -> tuple[Scope, ...]:
        """Inputs and outputs of the other graphs, which the quantizer takes for operators."""
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils as library

        return tuple(
            Scope(end.op_key.value, library.get_op_scope(end, graph.tensors))
            for index, graph in enumerate(self.parsed.subgraphs)
            if index != self.index
            for end in library.get_subgraph_input_output_operators(graph)
        )

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Indices of the float32 inputs and outputs of the signature's graph."""
        from ai_edge_litert import schema_py_generated as schema

        graph = self.parsed.subgraphs[self.index]
        return tuple(
            index
            for index in (*graph.inputs, *graph.outputs)
            if graph.tensors[index].type == schema.TensorType.FLOAT32
        )

    def name(self, tensor: int) -> str:
        """The name of a tensor of the signature's graph."""
        return str(self.parsed.subgraphs[self.index].tensors[tensor].name.decode())

    def rank(self, tensor: int) -> int:
        """How many axes a tensor of the signature's graph has."""
        shape = self.parsed.subgraphs[self.index].tensors[tensor].shape
        return 0 if shape is None else len(shape)

    def constant(self, tensor: int) -> np.ndarray[Any, Any] | None:
        """A float32 constant of the signature's graph, or None for any other tensor."""
        found = self.parsed.subgraphs[self.index].tensors[tensor]
        values: np.ndarray[Any, Any] | None = _constant(self.parsed, found)
        return values if values is None or found.shape is None else values.reshape(found.shape)

    def input(self, scoped: Scoped, position: int) -> int | None:
        """The index of the tensor that an operator takes at `position`, or None where it takes none."""
        inputs = scoped.inputs
        return inputs[position] if position < len(inputs) and inputs[position] != -1 else None

    def _scoped(self, graph: Any) -> Iterator[Scoped]:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils as library

        types = {code: name for name, code in vars(schema.BuiltinOperator).items()}
        for op in graph.operators:
            code = self.parsed.operatorCodes[op.opcodeIndex].builtinCode
            key = library.TFL_OP_CODE_TO_NAME.get(code)
            outputs = [index for index in op.outputs if index != -1]
            if key is None or not outputs:
                continue
            inputs = [index for index in op.inputs if index != -1]
            constants = {
                index: data.nbytes
                for index in inputs
                if (data := _constant(self.parsed, graph.tensors[index])) is not None
            }
            computed = tuple(
                index
                for index in dict.fromkeys([*inputs, *outputs])
                if index not in constants and graph.tensors[index].type == schema.TensorType.FLOAT32
            )
            yield Scoped(
                key=key.value,
                scope=library.get_op_scope(op, graph.tensors),
                operator=Operator(
                    graph.tensors[outputs[0]].name.decode(), types[code], sum(constants.values())
                ),
                inputs=tuple(map(int, op.inputs)),
                tensors=computed,
                constants=tuple(constants),
                weighted=key.value in WEIGHTED and any(i in constants for i in inputs[:2]),
            )


def _constant(parsed: Any, tensor: Any) -> Any:
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    data = parsed.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or not len(data):
        return None
    return np.asarray(data, np.uint8).view("<f4")


def _refuse_small_weights(parsed: Any, file: str) -> None:
    from ai_edge_litert import schema_py_generated as schema

    types = {getattr(schema.TensorType, name): name for name in STORED_SMALL}
    for graph in parsed.subgraphs:
        for tensor in graph.tensors:
            if parsed.buffers[tensor.buffer].data is None:
                continue
            scaled = tensor.quantization is not None and tensor.quantization.scale is not None
            kind = types.get(tensor.type)
            if kind == "FLOAT16" or (kind and scaled) or tensor.sparsity is not None:
                stored = "sparse" if tensor.sparsity is not None else str(kind).lower()
                raise StepError(
                    f"{file} is quantized already: the weight '{tensor.name.decode()}' is {stored}",
                    "drop the pass, or start from a float model",
                )


def _with_signature(parsed: Any) -> bool:
    """Give a file of an old converter a signature over its first graph, with the names of its
    tensors; whether it had none."""
    from ai_edge_litert import schema_py_generated as schema

    if parsed.signatureDefs:
        return False
    graph = parsed.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [], []
    for indices, entries in ((graph.inputs, signature.inputs), (graph.outputs, signature.outputs)):
        for index in indices:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = graph.tensors[index].name, index
            entries.append(entry)
    parsed.signatureDefs = [signature]
    return True


def _with_unique_names(parsed: Any) -> bool:
    """Name tensors that have no name, or one that another has; whether there were any.

    Inputs and outputs come first, for they keep theirs.
    """
    taken: set[bytes] = set()
    changed = False
    for ends in (True, False):
        for number, graph in enumerate(parsed.subgraphs):
            at_end = {*graph.inputs, *graph.outputs}
            for index, tensor in enumerate(graph.tensors):
                if (index in at_end) != ends:
                    continue
                name = tensor.name or b""
                if not name or name in taken:
                    name = b"%s#%d.%d" % (name, number, index)
                    tensor.name, changed = name, True
                taken.add(name)
    return changed
