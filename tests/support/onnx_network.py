"""Small ONNX networks, written node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Network:
    """A graph in the making. Nodes are named by their type and a number: `conv1`, `relu2`."""

    def __init__(self, seed: int = 0, opset: int = 18) -> None:
        self.random = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self.inputs: list[Any] = []

    def input(self, name: str, *shape: int | str, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def weight(self, *shape: int) -> str:
        """A random weight."""
        scale = 1 / np.sqrt(max(1, int(np.prod(shape[1:]))))
        return self.constant(self.random.normal(size=shape).astype(np.float32) * np.float32(scale))

    def positive(self, *shape: int) -> str:
        return self.constant(self.random.uniform(0.5, 2, shape).astype(np.float32))

    def constant(self, value: Any) -> str:
        name = f"w{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """The name of its output, or of each of them."""
        name = f"{op.lower()}{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return name if outputs == 1 else names

    def conv(self, x: str, taken: int, made: int, kernel: int = 3, **attributes: Any) -> str:
        pads = [kernel // 2] * 4
        return self.node(
            "Conv",
            x,
            self.weight(made, taken // attributes.get("group", 1), kernel, kernel),
            self.weight(made),
            **{"pads": pads, **attributes},
        )

    def normalized(self, x: str, size: int) -> str:
        weights = [self.positive(size), self.weight(size), self.weight(size), self.positive(size)]
        return self.node("BatchNormalization", x, *weights)

    def dense(self, x: str, taken: int, made: int) -> str:
        return self.node("Gemm", x, self.weight(made, taken), self.weight(made), transB=1)

    def model(self, *outputs: str, dtype: int = TensorProto.FLOAT) -> Any:
        """The onnx.ModelProto, with shapes of its outputs inferred; checked."""
        values = [helper.make_tensor_value_info(name, dtype, None) for name in outputs]
        tensors = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "network", self.inputs, values, tensors)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
        known = {value.name: value for value in inferred.graph.output}
        for value in proto.graph.output:
            value.CopyFrom(known[value.name])
        return proto
