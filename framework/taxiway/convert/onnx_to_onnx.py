"""ONNX -> ONNX: another opset, other sizes, another order of the axes; else the very same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.convert.onnx import OnnxConfig
from taxiway.model import Model
from taxiway.model.operators import onnx_operators, onnx_opsets
from taxiway.plugins import Context, Converter


class OnnxToOnnx(Converter):
    """Changes what the options name and nothing else: without options a copy, checked and loaded.

    Weights in other files are copied, never loaded.
    """

    Config = OnnxConfig
    accepts = frozenset({"onnx"})
    produces = "onnx"
    libraries = ("onnx", "onnxruntime")

    def lacks(self, path: Path, options: Any) -> tuple[str, ...]:
        """Operators that an older opset does not have. onnx is imported for that question alone."""
        if options.opset is None or options.opset >= max(onnx_opsets(path).get("", 0), 1):
            return ()
        import onnx

        missing = []
        for (domain, name), count in sorted(onnx_operators(path).items()):
            try:
                if not domain:
                    onnx.defs.get_schema(name, options.opset, "")
            except onnx.defs.SchemaError:
                nodes = f"{count} node{'s' if count != 1 else ''}"
                missing.append(f"{name} ({nodes}) in opset {options.opset}")
        return tuple(missing)

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.onnx_opset import opset_of, with_opset
        from taxiway.convert.onnx_result import finish
        from taxiway.convert.result import converted
        from taxiway.model.onnx_file import check_structure, copy_model, load_graph

        proto = load_graph(model.path)
        opset = options.opset or opset_of(proto)
        if options.keeps_ends and opset == opset_of(proto):
            path = copy_model(model.path, context.workdir)
            check_structure(path)
            return converted(model, path, "onnx")
        return finish(with_opset(proto, opset), model, options, context.workdir)
