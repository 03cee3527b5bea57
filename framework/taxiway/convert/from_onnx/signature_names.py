"""Input names in a signature: which ones TensorFlow takes, and how others get into a TFLite file."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path

from msgspec.structs import replace

from taxiway.model import Model, Signature, TensorSpec


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


def with_layouts(model: Model, source: Model) -> Model:
    """The model whose tensors have the layouts of those of the same names in `source`."""
    before = source.signature
    layouts = {spec.name: spec.layout for spec in (*before.inputs, *before.outputs)}

    def placed(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(replace(spec, layout=layouts.get(spec.name)) for spec in specs)

    inputs, outputs = placed(model.signature.inputs), placed(model.signature.outputs)
    return replace(model, signature=Signature(inputs=inputs, outputs=outputs))
