"""Run this bundle's model: on the golden samples, or on one of your own.

    pip install -r requirements.txt
    python run.py                  # do the golden samples give their outputs on this machine?
    python run.py SAMPLE.npy       # a raw sample, as preprocessing.json expects it
    python run.py SAMPLES.npz      # a model with several inputs: one array per input name

It needs numpy and the runtime in requirements.txt, and reads only the files beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-3
"""Kernels of other CPUs round otherwise: outputs may differ by this share of the largest one."""

Array = np.ndarray[Any, Any]
Spec = dict[str, Any]
Run = Callable[[dict[str, Array]], Mapping[str, Array]]


def load_json(name: str) -> Any:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def load_litert(path: Path, signature: Spec) -> Run:
    """A TFLite model through its signature of the same names, else through its tensors."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    names = [{spec["name"] for spec in signature[side]} for side in ("inputs", "outputs")]
    for key, entry in interpreter.get_signature_list().items():
        if [set(entry["inputs"]), set(entry["outputs"])] == names:
            runner = interpreter.get_signature_runner(key)
            return lambda stored: runner(**stored)
    inputs = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    outputs = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}

    def run(stored: dict[str, Array]) -> dict[str, Array]:
        for name, array in stored.items():
            interpreter.resize_tensor_input(inputs[name], array.shape)
        interpreter.allocate_tensors()
        for name, array in stored.items():
            interpreter.set_tensor(inputs[name], array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in outputs.items()}

    return run


def load_onnxruntime(path: Path, signature: Spec) -> Run:
    """A model of ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [spec["name"] for spec in signature["outputs"]]
    return lambda stored: dict(zip(names, session.run(names, stored), strict=True))


LOADERS = {"tflite": load_litert, "onnx": load_onnxruntime, "ort": load_onnxruntime}


def preprocess(raw: Array, steps: dict[str, Any]) -> Array:
    """A raw sample to the model's real-valued input: scale * raw + offset."""
    unknown = set(steps) - {"scale", "offset", "dtype"}
    if unknown:
        sys.exit(f"preprocessing.json asks for {', '.join(sorted(unknown))}: apply it yourself")
    if steps.get("dtype", "float32") == "keep":
        return raw
    if steps.get("dtype", "float32") != "float32":
        return raw.astype(steps["dtype"])
    scaled = raw.astype(np.float32) * np.float32(steps.get("scale", 1))
    return np.asarray(scaled + np.float32(steps.get("offset", 0)))


def store(real: Array, spec: Spec) -> Array:
    """Real values as the model stores them: round(real / scale) + zero_point, clipped."""
    if spec["dtype"] == "str":
        return real.astype(object)
    if spec["scale"] is None:
        return np.ascontiguousarray(real, dtype=spec["dtype"])
    limits = np.iinfo(spec["dtype"])
    steps = np.rint(real.astype(np.float32) / np.float32(spec["scale"])) + spec["zero_point"]
    return np.asarray(steps.clip(limits.min, limits.max), dtype=spec["dtype"])


def restore(stored: Array, spec: Spec) -> Array:
    """Stored values as real ones: (stored - zero_point) * scale."""
    if spec["scale"] is None:
        return np.asarray(stored)
    real = stored.astype(np.float32) - np.float32(spec["zero_point"])
    return np.asarray(real * np.float32(spec["scale"]))


def predict(run: Run, signature: Spec, inputs: dict[str, Array]) -> Iterator[list[Array]]:
    """The outputs of one sample after the other, in the signature's order."""
    batch = signature["batch"]
    for row in range(len(next(iter(inputs.values())))):
        stored = {}
        for spec in signature["inputs"]:
            sample = store(inputs[spec["name"]][row], spec)
            stored[spec["name"]] = np.repeat(sample[None], batch, axis=0) if batch else sample
        results = run(stored)
        outputs = [restore(results[spec["name"]], spec) for spec in signature["outputs"]]
        yield [output[0] if batch else output for output in outputs]


def check_golden(run: Run, signature: Spec) -> bool:
    """Compare with golden.npz, and say how far off the outputs are."""
    with np.load(HERE / "golden.npz", allow_pickle=False) as golden:
        inputs = {s["name"]: golden[f"input_{i}"] for i, s in enumerate(signature["inputs"])}
        expected = [golden[f"output_{i}"] for i in range(len(signature["outputs"]))]
    results = [np.stack(column) for column in zip(*predict(run, signature, inputs), strict=True)]
    passed = True
    for spec, want, got in zip(signature["outputs"], expected, results, strict=True):
        if np.array_equal(got, want):
            print(f"{spec['name']}: {len(got)} golden samples are bit-equal")
            continue
        if got.shape != want.shape or want.dtype.kind not in "biuf":
            print(
                f"{spec['name']}: differs; {got.dtype}{got.shape}, golden {want.dtype}{want.shape}"
            )
            passed = False
            continue
        real = want.astype(np.float64)
        allowed = TOLERANCE * float(np.abs(real).max()) + 1.001 * (spec["scale"] or 0)
        off = float(np.abs(got.astype(np.float64) - real).max())
        verdict = "within" if off <= allowed else "MORE than"
        print(f"{spec['name']}: differs by up to {off:.3g}, {verdict} the allowed {allowed:.3g}")
        passed = passed and off <= allowed
    return passed


def read_samples(path: Path, signature: Spec) -> dict[str, Array]:
    """Raw samples from a .npy or .npz, one or many, preprocessed: name -> `[n, ...]`."""
    loaded = np.load(path, allow_pickle=False)
    raw = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())
    specs = signature["inputs"]
    if len(specs) == len(raw) == 1:
        raw = {specs[0]["name"]: next(iter(raw.values()))}
    steps, inputs = load_json("preprocessing.json"), {}
    for spec in specs:
        if spec["name"] not in raw:
            sys.exit(f"{path.name} has no array '{spec['name']}'")
        axes = len(spec["shape"]) - bool(signature["batch"])
        array = raw[spec["name"]]
        inputs[spec["name"]] = preprocess(array[None] if array.ndim == axes else array, steps)
    return inputs


def show(outputs: list[Array], signature: Spec, labels: list[str]) -> None:
    """The highest scores of the first output with their labels; other outputs as they are."""
    scores = outputs[0].reshape(-1)
    for place in np.argsort(-scores, kind="stable")[:3]:
        name = labels[place] if place < len(labels) else f"class {place}"
        print(f"  {scores[place]:.4f}  {name}")
    for spec, output in zip(signature["outputs"][1:], outputs[1:], strict=True):
        print(f"  {spec['name']}: {output.tolist()}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the model of this bundle.")
    parser.add_argument("sample", nargs="?", type=Path, help="a raw sample, .npy or .npz")
    options = parser.parse_args()

    signature = load_json("signature.json")
    run = LOADERS[signature["format"]](HERE / signature["model"], signature)
    if options.sample is None:
        return 0 if check_golden(run, signature) else 1
    labels_file = HERE / "labels.txt"
    labels = labels_file.read_text(encoding="utf-8").splitlines() if labels_file.exists() else []
    inputs = read_samples(options.sample, signature)
    for row, outputs in enumerate(predict(run, signature, inputs)):
        print(f"sample {row}:")
        show(outputs, signature, labels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
