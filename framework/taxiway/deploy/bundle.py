"""Writes a bundle: a folder that runs the model with nothing but numpy and its runtime."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from taxiway import __version__, plugins, safety
from taxiway.deploy.card import model_card
from taxiway.deploy.manifest import canonical, write_manifest
from taxiway.deploy.verify import EXAMPLE, example_source, verify
from taxiway.errors import StepError
from taxiway.model import FORMATS, Model
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.plugins import TEST, Context, Selection

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MODEL_FILES = {"tflite": "model.tflite", "onnx": "model.onnx", "ort": "model.ort"}


class BundleConfig(plugins.Config, frozen=True):
    """Options that every bundle has."""

    name: Annotated[
        str | None, Meta(description="Name in the manifest and the card; null for the recipe's.")
    ] = None
    golden_samples: Annotated[
        int, Meta(ge=1, description="Test samples kept with their outputs, to check a target with.")
    ] = 16


class Bundle(plugins.Deploy):
    """What the bundles of both runtimes share. `runtime`: the distribution that runs the model."""

    runtime: str

    def reads(self, options: BundleConfig) -> tuple[Selection, ...]:
        return (Selection(TEST, options.golden_samples),)

    def run(self, model: Model, options: BundleConfig, context: Context) -> None:
        """Write the bundle into `context.workdir` and verify it there.

        Equal inputs give equal bytes. Raises StepError for a model of another format, without
        samples, or where the bundle does not give its golden outputs; SafetyError for a model that
        its format's static gate refuses.
        """
        if model.format not in self.accepts:
            fits = {"tflite": "litert_bundle", "onnx": "onnxruntime_bundle"}.get(model.format)
            raise StepError(
                f"this bundle takes {', '.join(self.accepts)}, not a {FORMATS[model.format]}",
                f"use deploy={fits}"
                if fits
                else "convert it first: convert=tflite or convert=onnx",
            )
        safety.check(model.path, model.format)
        if context.data is None:
            raise StepError(
                "a bundle needs samples to prove that it runs", "add data=npz data.path=..."
            )
        folder = context.workdir
        (selection,) = self.reads(options)
        inputs = _samples(context, selection)
        batch = _batch(model, inputs)
        name = options.name or context.recipe.get("name") or "model"
        preprocessing = context.data.preprocessing

        (folder / EXAMPLE).write_bytes(example_source())
        requirements = [f"{dist}=={version(dist)}" for dist in (self.runtime, "numpy")]
        (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        signature = {
            "format": model.format,
            "model": MODEL_FILES[model.format],
            "batch": batch,
            **msgspec.to_builtins(model.signature),
        }
        (folder / "signature.json").write_bytes(canonical(signature))
        (folder / "preprocessing.json").write_bytes(canonical(preprocessing))
        if context.data.class_names:
            labels = "".join(f"{' '.join(label.split())}\n" for label in context.data.class_names)
            (folder / "labels.txt").write_text(labels, encoding="utf-8")
        card = model_card(name, model, preprocessing, context.figures, context.recipe)
        (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        _write_golden(model, inputs, folder / "golden.npz", context)
        _copy_model(model, folder)
        about = {"name": name, "format": model.format, "taxiway": __version__}
        write_manifest(folder, about)
        verify(folder)


def _samples(context: Context, selection: Selection) -> dict[str, Array]:
    import numpy as np

    assert context.data is not None
    batches = [batch.inputs for batch in context.data.batches(selection, 64)]
    if not batches:
        raise StepError(f"split '{selection.split}' is empty", "give it rows under data.splits")
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _batch(model: Model, inputs: dict[str, Array]) -> int:
    """Samples the model takes per call: 1 where it is free, 0 for a model without a batch axis."""
    spec = model.signature.inputs[0]
    array = inputs.get(spec.name, next(iter(inputs.values())))
    if spec.shape == UNKNOWN_RANK:
        return 1
    if array.ndim == len(spec.shape) + 1:
        return 0
    first = spec.shape[0] if spec.shape else 0
    return first if isinstance(first, int) else 1


def _write_golden(model: Model, inputs: dict[str, Array], path: Path, context: Context) -> None:
    """Inputs and outputs of each sample as the file has them, one at a time as the example does."""
    import numpy as np

    from taxiway.model.layout import in_file_order
    from taxiway.model.runners import open_runner
    from taxiway.model.runners.binding import bind

    bound = bind(model.signature, inputs)
    runner = open_runner(in_file_order(model))
    count = len(next(iter(bound.values())))
    outputs: dict[str, list[Array]] = {spec.name: [] for spec in model.signature.outputs}
    for row in range(count):
        sample = {name: array[row : row + 1] for name, array in bound.items()}
        for name, output in runner.predict(sample).items():
            outputs[name].append(output)
        context.progress(row + 1, count, "golden samples")
    golden = {f"input_{i}": bound[spec.name] for i, spec in enumerate(model.signature.inputs)}
    for i, rows in enumerate(outputs.values()):
        golden[f"output_{i}"] = np.concatenate(rows)
    # numpy dates every member 1980, so that equal arrays give equal bytes.
    np.savez(path, allow_pickle=False, **golden)


def _copy_model(model: Model, folder: Path) -> None:
    """The model, and what an ONNX model keeps in other files beside it."""
    shutil.copyfile(model.path, folder / MODEL_FILES[model.format])
    if model.format != "onnx":
        return
    import onnx

    from taxiway.safety.onnx_model import external_files

    for name in external_files(onnx.load(str(model.path), load_external_data=False)):
        if (folder / name).exists():
            raise StepError(
                f"the model keeps weights in '{name}', a name that the bundle needs itself",
                "save the model with its weights inside, or in a file of another name",
            )
        shutil.copyfile(model.path.parent / name, folder / name)
