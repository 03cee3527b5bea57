"""Clustering of the weights of an ONNX model, in one shot: k-means, without training."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.promises import Clusters, Sparsity
from taxiway.optimize.cluster.weights import ClusterWeights
from taxiway.optimize.operators import Operator, precisions
from taxiway.plugins import Context


class OnnxClusters(ClusterWeights):
    """Weights are those that an operator multiplies with: of Conv, Gemm, MatMul, LSTM, ...; batch
    normalizations are folded first, as every quantizer would later. The weights are held in memory."""

    libraries = ("onnx", "onnxruntime")

    def check(self, options: Any) -> None:
        training, default = options.training, type(options)().training
        if training.epochs and training != default:
            raise ValueError(
                "training works on keras only; on onnx weights are clustered in one shot"
            )

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import numpy as np
        import onnx
        from msgspec.structs import replace

        from taxiway.model.onnx_file import check_file, write_graph
        from taxiway.model.weights.in_onnx import OnnxBody
        from taxiway.optimize.cluster.kmeans import shared_values
        from taxiway.optimize.cluster.on_keras import relative_error
        from taxiway.optimize.cluster.onnx_fold import fold_batch_norm
        from taxiway.optimize.result import optimized

        proto = onnx.load(str(model.path))
        fold_batch_norm(proto)
        body = OnnxBody(proto.graph, model.path)
        weights = [
            weight
            for weight in body.weights()
            if weight.axes and weight.is_kernel and weight.values.dtype.kind == "f"
        ]
        operators = {weight.name: _operator(body, weight.name) for weight in weights}
        left = precisions(list(dict.fromkeys(operators.values())), options.only, options.exclude)
        pruned = {item.weight for item in model.promises if isinstance(item, Sparsity)}
        promises, told = [], {}
        for weight in weights:
            tensor = body.constants[weight.name]
            if operators[weight.name].name in left or not isinstance(tensor, onnx.TensorProto):
                continue
            if not np.isfinite(weight.values).all():
                raise StepError(
                    f"weight '{weight.name}' is not finite: it holds NaN or infinite values",
                    "train the model anew, or take an earlier checkpoint of it",
                )
            zeros = options.preserve_sparsity or weight.name in pruned
            table, group = shared_values(weight.values, options.clusters, zeros)
            after = table[group].astype(weight.values.dtype)
            name, kind = tensor.name, tensor.data_type
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
            tensor.CopyFrom(onnx.numpy_helper.from_array(after.astype(dtype), name))
            count = int(np.unique(after).size)
            promises.append(Clusters(weight=weight.name, size=weight.size, count=count))
            error = relative_error(weight.values, after)
            told[weight.name] = {"values": count, "relative_error": error}
        if not promises:
            raise StepError(
                f"nothing to cluster: {model.path.name} has no float weight that an operator multiplies with",
                "leave the pass out, or check `only` and `exclude`",
            )
        context.tell("clusters", told)
        path = write_graph(proto, context.workdir / "model.onnx")
        check_file(path)
        return replace(optimized(model, path), promises=tuple(promises))


def _operator(body: Any, name: str) -> Operator:
    """The node that reads a weight first."""
    node = body.uses[name][0].node
    return Operator(node.name or f"{node.op_type}_{node.output[0]}", node.op_type)
