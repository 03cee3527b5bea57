"""Sorts every op of the installed TensorFlow: what only computes, and what a saved model must not hold.

TensorFlow groups its ops by the file that registers them (tensorflow/core/ops/*_ops.cc), and makes
one Python module `gen_*_ops` of each. A whole group is judged here, with exceptions by name; an op
that no rule covers stops the script, so that a new TensorFlow has to be read before it is allowed.

    python docs/allowlists/tensorflow_ops.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parents[2] / "framework/taxiway/safety/lists/tensorflow_ops.json"

COMPUTE = {
    *("array", "audio", "batch", "bitwise", "boosted_trees", "candidate_sampling", "clustering"),
    *("composite_tensor", "control_flow", "count", "ctc", "cudnn_rnn", "data_flow", "functional"),
    *("image", "linalg", "list", "logging", "lookup", "manip", "map", "math", "nn", "optional"),
    *("parsing", "ragged_array", "ragged_conversion", "ragged_math", "random", "set", "sparse"),
    *("random_index_shuffle", "resource_variable", "rnn", "sdca", "sparse_csr_matrix"),
    *("special_math", "spectral", "state", "stateful_random", "stateless_random", "string"),
    *("training", "uniform_quant"),
}
FILES = "reads or writes files"
DATASET = "reads a dataset"
PEERS = "talks to other processes or devices"
DEBUG = "writes for a debugger"
PYTHON = "calls Python"
INTERNAL = "is made by TensorFlow while it runs, and is no part of a saved model"
COMPILER = "hands a program of its own to a compiler or a plugin"
REFUSED = {
    "checkpoint": FILES,
    "collective": PEERS,
    "dataset": DATASET,
    "debug": DEBUG,
    "decode_proto": "may read a file of message descriptions",
    "dtensor": PEERS,
    "encode_proto": "may read a file of message descriptions",
    "experimental_dataset": DATASET,
    "filesystem": FILES,
    "io": FILES,
    "mlir_passthrough": COMPILER,
    "nccl": PEERS,
    "rpc": PEERS,
    "script": PYTHON,
    "sendrecv": PEERS,
    "summary": "writes summary files",
    "sync": PEERS,
    "tpu": PEERS,
    "tpu_partition": PEERS,
    "user": "belongs to no model",
    "xla": COMPILER,
}
BY_NAME = {
    "Abort": "ends the process",
    "CalibrationStatisticsSaver": FILES,
    "CustomAggregator": FILES,
    "DumpTensor": FILES,
    "ImmutableConst": "maps a file into memory",
    "RecordInput": FILES,
    "RemoteCall": PEERS,
    "Skipgram": FILES,
    "GetSessionHandle": INTERNAL,
    "GetSessionHandleV2": INTERNAL,
    "GetSessionTensor": INTERNAL,
    "DeleteSessionTensor": INTERNAL,
    "ConsumeMutexLock": INTERNAL,
    "MutexLock": INTERNAL,
    "MutexV2": INTERNAL,
    "NegTrain": "belongs to no model",
}
ALSO_COMPUTE = re.compile(
    r"_Fused(MatMul|Conv[23]D|BatchNormEx|DepthwiseConv2dNative)"
    r"|AudioMicrofrontend|Stateless\w+V2|StatelessShuffle|StochasticCastToInt|QuantizedConcatV2"
    r"|KthOrderStatistic|MakeUnique|TopK(With)?Unique"
    # Keras slices and sorts with these; they take no program, and talk to nobody.
    r"|Xla(BroadcastHelper|ConvV?2?|Dequantize|DotV?2?|Dynamic(Update)?Slice|Einsum|Gather|If"
    r"|KeyValueSort|OptimizationBarrier|Pad|Reduce(Precision|Window)?|RemoveDynamicDimensionSize"
    r"|RngBitGenerator|Scatter|SelectAndScatter|SelfAdjointEig|Set(Bound|DynamicDimensionSize)"
    r"|Sharding|Sort|SpmdFullToShardShape|SpmdShardToFullShape|Svd|VariadicReduce(V2)?"
    r"|VariadicSort|While)"
    # A dataset of the model's own tensors, and what iterates over it.
    r"|(Tensor|TensorSlice|SparseTensorSlice|Range|Zip|Map|Filter|FlatMap|Concatenate|Take|Skip"
    r"|Repeat|Reduce|Window|Options|Prefetch)Dataset|BatchDatasetV2|PaddedBatchDatasetV2"
    r"|ParallelMapDatasetV2|ShuffleDatasetV3|MakeIterator|IteratorGetNext(Sync|AsOptional)?"
    r"|AnonymousIteratorV[23]|DeleteIterator|DatasetToSingleElement|DatasetCardinality|MapDefun"
    r"|(Dummy|Anonymous)SeedGenerator|DeleteSeedGenerator|AnonymousRandomSeedGenerator"
    r"|DeleteRandomSeedGenerator"
)
SAVER = re.compile(r"(Save|Restore)(V2|Slices?)?|MergeV2Checkpoints|ShardedFile(name|spec)")
TABLE_FILE = re.compile(r"InitializeTableFromTextFile(V2)?")
UNGROUPED = {
    r"_.*|IsResourceHandleRefCounting|IsTensorFloat32Enabled|MakeWeakResourceHandle|HostConst"
    r"|SyncDevice": INTERNAL,
    r"(Xla|Tpu|TPU|DTensor|.*TPUEmbedding|(Compute|Merge|Split)Dedup|GetTpu|UpdateTaskId).*": PEERS,
    r"Risc.*": COMPILER,
    r"(A|B|Attr.*|Binary|ComplexStruct|ConstructionFails|CopyOp|DefaultAttrs|DevicePlacementOp"
    r"|DtypeWith.*|FiveFloat.*|Float(In|Out)put.*|Foo\d|Func(List)?Attr|GetDeadline"
    r"|GraphDefVersion|InPolymorphicTwice|Int64Output|Int(Attr|Input|Output).*|KernelLabel.*"
    r"|List(In|Out)put|MixedStruct|N?InPolymorphicTwice|NInTw.*|NInts.*|NPolymorphic.*"
    r"|Namespace>.*|None|Old|OpWith.*|Out(T|Type.*)|Polymorphic.*|Ref(In|Out).*"
    r"|Requires.*|Reserved.*|Resource(CreateOp|InitializedOp|UsingOp)|Restrict|Simple.*"
    r"|Sleep.*Op|StringListAttr|StubResourceHandleOp|TestAttr|TestStringOutput|Two.*|TypeList.*"
    r"|Unary)": "belongs to TensorFlow's own tests",
}


def groups() -> dict[str, str]:
    """Op -> the group that registers it, as the names of TensorFlow's generated modules say."""
    import tensorflow

    found: dict[str, str] = {}
    for file in sorted(Path(tensorflow.__file__).parent.rglob("gen_*.py")):
        group = re.sub(r"^gen_|_ops?(_v2)?$", "", file.stem)
        for op in re.findall(r'_apply_op_helper\(\s*"(\w+)"', file.read_text()):
            found.setdefault(op, group)
    return found


def registered() -> set[str]:
    """The names of all ops that TensorFlow's registry holds."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session as session

    listed = op_def_pb2.OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    return {op.name for op in listed.op}


def judge(op: str, group: str | None) -> str | None:
    """None for an op that computes, else the reason against it. Raises LookupError for neither."""
    if op in BY_NAME:
        return BY_NAME[op]
    if ALSO_COMPUTE.fullmatch(op):
        return None
    if group in REFUSED:
        return REFUSED[group]
    if group in COMPUTE:
        return None
    for pattern, reason in UNGROUPED.items():
        if group is None and re.fullmatch(pattern, op):
            return reason
    raise LookupError(f"{op} (group {group})")


def lists() -> dict[str, object]:
    """`computes`, `saver`, `table_file`: names; `refused`: reason -> names; all sorted."""
    import tensorflow

    by_group = groups()
    computes, saver, tables = [], [], []
    refused: dict[str, list[str]] = {}
    unknown = []
    for op in sorted(registered()):
        try:
            reason = judge(op, by_group.get(op))
        except LookupError as error:
            unknown.append(str(error))
            continue
        if SAVER.fullmatch(op):
            saver.append(op)
        elif TABLE_FILE.fullmatch(op):
            tables.append(op)
        elif reason is None:
            computes.append(op)
        else:
            refused.setdefault(reason, []).append(op)
    if unknown:
        raise SystemExit("no rule covers: " + ", ".join(unknown))
    return {
        "tensorflow": tensorflow.__version__,
        "computes": computes,
        "saver": saver,
        "table_file": tables,
        "refused": dict(sorted(refused.items())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="say what differs, write nothing")
    new = lists()
    text = json.dumps(new, indent=1) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET.name} is not that of TensorFlow {new['tensorflow']}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
