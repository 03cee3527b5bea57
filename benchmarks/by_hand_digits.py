"""What `taxiway run digits_int8` does, written by hand with the same libraries and without Taxiway.

python benchmarks/by_hand_digits.py OUTPUT
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
from ai_edge_quantizer.utils.qsv_utils import min_max_update

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parent / "recipes"
LATENCY_ROWS, GOLDEN_ROWS, BATCH = 50, 16, 64
MAX_DROP, MAX_LATENCY, MAX_SIZE = 0.01, 2e-3, 200 * 1024


def calibration_rows(count: int) -> np.ndarray:
    """256 rows at random, the same at every run."""
    return np.sort(np.random.RandomState(0).permutation(count)[:256])


def convert(model: keras.Model) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    return converter.convert()


def quantize(content: bytes, samples: np.ndarray) -> bytes:
    job = quantizer.Quantizer(content)
    job.add_static_config(
        ".*",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=qtyping.QuantGranularity.CHANNELWISE,
    )
    recipe = recipe_manager.RecipeManager()
    recipe.load_quantization_recipe(job.get_quantization_recipe())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ranges = calibrator.Calibrator(
            content, num_threads=os.cpu_count() or 1, qsv_update_func=min_max_update
        )
    key, signature = next(iter(ranges.get_signature_list().items()))
    (name,) = signature["inputs"]
    ranges.calibrate({key: [{name: row[None]} for row in samples]}, recipe)
    result = job.quantize(ranges.get_model_qsvs(), enable_progress_report=False)
    return result.quantized_model


def timed(predict, rows: np.ndarray) -> dict[str, float]:
    """Latency of one sample over 500 calls, or a second of them, as Taxiway takes it."""
    for _ in range(10):
        predict(rows[:1])
    taken: list[float] = []
    end = time.perf_counter() + 1.0
    while len(taken) < 20 or (len(taken) < 500 and time.perf_counter() < end):
        at = len(taken) % len(rows)
        start = time.perf_counter()
        predict(rows[at : at + 1])
        taken.append(time.perf_counter() - start)
    return {
        "latency_p50": float(np.percentile(taken, 50)),
        "latency_p95": float(np.percentile(taken, 95)),
    }


def tflite_predict(path: Path):
    """A function from real inputs [n, ...] to real outputs, and the interpreter's details."""
    runner = Interpreter(model_path=str(path), num_threads=1).get_signature_runner()
    ((name, given),) = runner.get_input_details().items()
    ((output, taken),) = runner.get_output_details().items()
    (in_scale, in_zero), (out_scale, out_zero) = given["quantization"], taken["quantization"]

    def predict(rows: np.ndarray) -> np.ndarray:
        stored = (np.rint(rows / np.float32(in_scale)) + in_zero).clip(-128, 127).astype(np.int8)
        result = runner(**{name: stored})[output]
        return (result.astype(np.float32) - out_zero) * np.float32(out_scale)

    signature = {
        "input": {"name": name, "shape": given["shape_signature"].tolist()},
        "output": {"name": output, "shape": taken["shape_signature"].tolist()},
    }
    signature["input"] |= {"scale": float(in_scale), "zero_point": int(in_zero)}
    signature["output"] |= {"scale": float(out_scale), "zero_point": int(out_zero)}
    return predict, signature


def classes(predict, rows: np.ndarray) -> np.ndarray:
    batches = [predict(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
    return np.concatenate(batches).argmax(axis=1)


def in_fresh_process(script: Path, *arguments: Path) -> str:
    command = [sys.executable, "-I", str(script), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def peak_memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def write_bundle(folder: Path, model: Path, rows: np.ndarray, figures: dict) -> None:
    folder.mkdir()
    predict, signature = tflite_predict(model)
    shutil.copyfile(model, folder / "model.tflite")
    shutil.copyfile(HERE / "by_hand_check.py", folder / "run.py")
    golden = np.concatenate([predict(rows[at : at + 1]) for at in range(GOLDEN_ROWS)])
    np.savez(folder / "golden.npz", input=rows[:GOLDEN_ROWS], output=golden)
    (folder / "signature.json").write_text(json.dumps(signature, indent=2))
    (folder / "preprocessing.json").write_text(json.dumps({"scale": 0.0625, "offset": 0}))
    pinned = [f"{name}=={version(name)}\n" for name in ("ai-edge-litert", "numpy")]
    (folder / "requirements.txt").write_text("".join(pinned))
    card = ["# digits_int8", *(f"* {name}: {value}" for name, value in figures.items())]
    (folder / "MODEL_CARD.md").write_text("\n".join(card) + "\n")
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }
    (folder / "manifest.json").write_text(json.dumps(files, indent=2))
    in_fresh_process(folder / "run.py")


def main() -> None:
    output = Path(sys.argv[1])
    output.mkdir(parents=True)
    source = RECIPES / "models" / "digits.keras"
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.saving.load_model(source, compile=False)
    with np.load(RECIPES / "data" / "digits.npz") as data:
        train, test, labels = data["x_train"], data["x_test"], data["y_test"]
    train = train[calibration_rows(len(train))].astype(np.float32) * np.float32(0.0625)
    test = test.astype(np.float32) * np.float32(0.0625)

    result = output / "digits_int8.tflite"
    result.write_bytes(quantize(convert(model), train))

    graph = tf.function(lambda rows: model(rows, training=False), autograph=False)
    graph = graph.get_concrete_function(tf.TensorSpec([None, *test.shape[1:]], tf.float32))

    def before(rows: np.ndarray) -> np.ndarray:
        return graph(tf.constant(rows)).numpy()

    expected = classes(before, test)
    figures = {
        "source": {
            "accuracy": float((expected == labels).mean()),
            **timed(before, test[:LATENCY_ROWS]),
            "size": source.stat().st_size,
            "peak_memory": peak_memory(),
        }
    }
    found = classes(tflite_predict(result)[0], test)
    np.save(output / "probe_inputs.npy", test[:LATENCY_ROWS])
    probed = in_fresh_process(HERE / "by_hand_probe.py", result, output / "probe_inputs.npy")
    (output / "probe_inputs.npy").unlink()
    figures["result"] = {
        "accuracy": float((found == labels).mean()),
        "agreement": float((found == expected).mean()),
        "size": result.stat().st_size,
        **json.loads(probed),
    }
    (output / "report.json").write_text(json.dumps(figures, indent=2))
    good = (
        figures["source"]["accuracy"] - figures["result"]["accuracy"] <= MAX_DROP
        and figures["result"]["latency_p95"] <= MAX_LATENCY
        and figures["result"]["size"] <= MAX_SIZE
    )
    if not good:
        sys.exit(4)
    write_bundle(output / "bundle", result, test, figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
