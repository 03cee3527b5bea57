"""Magnitude pruning of the weights of an ONNX graph, at once and without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.prune.magnitude import PruneMagnitude, Schedule
from taxiway.optimize.prune.weights import PrunedWeight, chosen, sparsity_of, told_of
from taxiway.optimize.training.config import Training
from taxiway.plugins import Context

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class OnnxMagnitude(PruneMagnitude):
    """Weights in files beside the model are rewritten where they are, one at a time."""

    libraries = ("onnx",)

    def check(self, options: Any) -> None:
        plain = (Training(), Training(epochs=0))
        if options.training not in plain or options.schedule != Schedule():
            option = "schedule" if options.training in plain else "training"
            raise ValueError(
                f"{option} works on keras only: weights of onnx are pruned at once; leave it out"
            )

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.model.onnx_file import check_structure, copy_model, load_graph
        from taxiway.optimize.prune.onnx_weights import weights_of
        from taxiway.optimize.prune.ranking import masks_of
        from taxiway.optimize.prune.units import units_of
        from taxiway.optimize.result import optimized
        from taxiway.optimize.training.network import carried

        path = copy_model(model.path, context.workdir)
        proto = load_graph(path)
        found = weights_of(proto)
        weights = chosen([weight for weight, _ in found.values()], options, model.path.name)
        units, promises = units_of(options.pattern, options.block), []
        together = [weights] if options.scope == "global" else [[weight] for weight in weights]
        for number, group in enumerate(together):
            stored = {weight.name: _Stored(found[weight.name][1], path) for weight in group}
            matrices = {w.name: w.matrix(_finite(w, stored[w.name].values)) for w in group}
            masks = masks_of(matrices, options.target, units, options.scope)
            for weight in group:
                kept = weight.restored(masks[weight.name])
                values = stored[weight.name].values * kept
                stored[weight.name].write(values)
                promises.append(sparsity_of(weight, values, options))
            context.progress(number + 1, len(together), "weights")
        path.write_bytes(proto.SerializeToString(deterministic=True))
        check_structure(path)
        context.tell("pruning", told_of(promises, "at once, without training"))
        return replace(optimized(model, path), promises=carried(model.promises, promises))


class _Stored:
    """A TensorProto's values, wherever they are."""

    def __init__(self, tensor: Any, model: Path) -> None:
        import onnx

        self._tensor, self._folder = tensor, model.parent
        self.values: Array = onnx.numpy_helper.to_array(tensor, str(model.parent))

    def write(self, values: Array) -> None:
        """Put values of the same shape and dtype in their place."""
        import onnx

        if not self._tensor.external_data:
            name = self._tensor.name
            self._tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
            return
        entries = {entry.key: entry.value for entry in self._tensor.external_data}
        with (self._folder / entries["location"]).open("r+b") as file:
            file.seek(int(entries.get("offset", 0)))
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            file.write(little.tobytes())


def _finite(weight: PrunedWeight, values: Array) -> Array:
    import numpy as np

    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise StepError(
            f"weight '{weight.name}' of '{weight.layer}' is not finite: {bad:,} of {values.size:,} values "
            "are NaN or infinite",
            "export the model anew from weights that are finite",
        )
    return values
