"""Conversions through Taxiway against the same converters called by hand.

    python benchmarks/convert.py [--pairs 5] [--only saved_model_to_onnx]

Each pair is one run of a script that calls the converter and nothing else, and one of
`taxiway run` with an empty store: the source step with its safety gate, the conversion, its checks
and the report, without the proof. They take turns, and the one that goes first changes. CPU is user
and system time of all processes; memory is that of the largest process, at its peak.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import Usage, measure, taxiway

MIB = 2**20

CPU_BAR, MEMORY_BAR = 1.10, 1.15
BY_HAND = {
    "saved_model_to_onnx": """
import sys, tf2onnx, onnx
from tf2onnx import tf_loader
graph, inputs, outputs, names = tf_loader.from_saved_model(
    sys.argv[1], None, None, tag=["serve"], signatures=["serving_default"],
    return_tensors_to_rename=True)
model, _ = tf2onnx.convert.from_graph_def(
    graph, input_names=inputs, output_names=outputs, tensors_to_rename=names, opset=18)
onnx.save(model, sys.argv[2])
""",
    "keras_to_tflite": """
import sys, keras, tensorflow as tf
model = keras.models.load_model(sys.argv[1], compile=False)
content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
open(sys.argv[2], "wb").write(content)
""",
    "tflite_to_onnx": """
import sys, tf2onnx, onnx
model, _ = tf2onnx.convert.from_tflite(sys.argv[1], opset=18)
onnx.save(model, sys.argv[2])
""",
}
MODELS = """
import sys, keras, tensorflow as tf
keras.utils.set_random_seed(0)
model = keras.applications.MobileNet(weights=None, classes=1000)
model.save("model.keras")
model.export("saved_model", verbose=False)
converter = tf.lite.TFLiteConverter.from_saved_model("saved_model")
open("model.tflite", "wb").write(converter.convert())
"""
FILES = {"saved_model": "saved_model", "keras": "model.keras", "tflite": "model.tflite"}
RECIPE = """\
defaults:
  - base
  - source: {source}
  - convert: {target}
  - _self_
name: converted
source: {{path: {path}}}
parity: null
"""


def compare(name: str, pairs: int, folder: Path) -> tuple[list[Usage], list[Usage]]:
    """Runs by hand and by Taxiway of one converter, in turns."""
    source, _, target = name.partition("_to_")
    (folder / f"{name}.yaml").write_text(
        RECIPE.format(source=source, target=target, path=FILES[source])
    )
    (folder / f"{name}.py").write_text(BY_HAND[name])
    by_hand: list[Usage] = []
    ours: list[Usage] = []
    for number in range(pairs):
        scratch = folder / f"{name}-{number}"
        script = [sys.executable, f"{name}.py", FILES[source], f"{name}.{target}"]
        run = taxiway("run", f"{name}.yaml", "--store", scratch, "--output", folder / "runs")
        jobs = [(by_hand, script), (ours, run)]
        for results, command in jobs if number % 2 else reversed(jobs):
            results.append(measure(command, folder))
    return by_hand, ours


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", choices=BY_HAND)
    arguments = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="taxiway-convert-") as scratch:
        folder = Path(scratch)
        measure([sys.executable, "-c", MODELS], folder)
        for name in [arguments.only] if arguments.only else BY_HAND:
            by_hand, ours = compare(name, arguments.pairs, folder)
            cpu = [a.cpu / b.cpu for a, b in zip(ours, by_hand, strict=True)]
            memory = [a.largest / b.largest for a, b in zip(ours, by_hand, strict=True)]
            missed += median(cpu) > CPU_BAR or median(memory) > MEMORY_BAR
            print(
                f"{name}: CPU {median(cpu):.2f} (bar {CPU_BAR:.2f}; "
                f"{median(u.cpu for u in ours):.1f} s / {median(u.cpu for u in by_hand):.1f} s; "
                f"{' '.join(f'{each:.2f}' for each in cpu)}), "
                f"memory {median(memory):.2f} (bar {MEMORY_BAR:.2f}; "
                f"{median(u.largest for u in ours) / MIB:.0f} MiB / "
                f"{median(u.largest for u in by_hand) / MIB:.0f} MiB)",
                flush=True,
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
