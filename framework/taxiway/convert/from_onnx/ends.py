"""The ONNX model with the ends that the options want, before it goes to TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import asdict

from taxiway.convert.ends import EndsConfig
from taxiway.model import Model


@contextmanager
def with_ends(model: Model, options: EndsConfig) -> Iterator[Model]:
    """`model` itself where the options keep its inputs and outputs, else a temporary one with other
    sizes, axes or dtypes. Raises StepError where the graph does not allow them."""
    from taxiway.convert.onnx import OnnxConfig
    from taxiway.convert.onnx_result import finish
    from taxiway.model.onnx_file import load_graph

    if options.keeps_ends:
        yield model
        return
    ends = {name: asdict(options)[name] for name in EndsConfig.__struct_fields__}
    with TemporaryDirectory() as folder:
        yield finish(load_graph(model.path), model, OnnxConfig(**ends), Path(folder))
