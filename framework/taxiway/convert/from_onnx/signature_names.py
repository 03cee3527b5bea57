"""Input names in a signature: which ones TensorFlow takes, and how others get into a TFLite file."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path

from taxiway.model import Model


def stand_ins(model: Model) -> dict[str, str]:
    """Names for the inputs in TensorFlow, which makes arguments of Python functions of them: none
    where all of the model's are identifiers, else `input_0` and so on for all."""
    names = [spec.name for spec in model.signature.inputs]
    if all(name.isidentifier() and not iskeyword(name) for name in names):
        return {}
    return {name: f"input_{position}" for position, name in enumerate(names)}


def rename_signature(path: Path, names: Mapping[str, str]) -> None:
    """Put the original names into the signature of the TFLite file at `path`.

    names: original name -> name in the file.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    original = {new.encode(): old.encode() for old, new in names.items()}
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    for signature in model.signatureDefs:
        for tensor in signature.inputs:
            tensor.name = original.get(tensor.name, tensor.name)
    builder = flatbuffers.Builder(path.stat().st_size + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(builder.Output())
