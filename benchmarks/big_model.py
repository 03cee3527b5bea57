"""A model of 2.5 GB with external data through a recipe: the memory of every process, at the peak.

    python benchmarks/big_model.py [--gigabytes 2.5] [--folder DIR]

The recipe goes ONNX -> ONNX (another opset), then makes it float16. For each process of the tree,
the highest resident memory is read while it runs (VmHWM, proc(5)); it holds the pages of mapped
files, too, so anonymous memory is shown apart (RssAnon). The folder needs four times the model's
size; all of it is removed at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from measure import _tree, taxiway
from onnx import TensorProto, helper

BAR = 1.5
WIDTH = 4096
RECIPE = """\
defaults:
  - base
  - source: onnx
  - data: npz
  - convert: onnx
  - optimize: [float16]
  - _self_
name: big
source: {path: big.onnx}
data: {path: samples.npz, splits: {calibration: {fraction: 0.5}, test: {fraction: 0.5}}}
convert: {opset: 21}
limits: {memory: 16 GiB}
"""


def make_model(path: Path, size: int) -> int:
    """A stack of MatMul, Add and Relu with float32 weights beside the file; gives all bytes."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0, (2 / WIDTH) ** 0.5, (WIDTH, WIDTH)).astype("<f4")
    layers = -(-size // weight.nbytes)
    data = path.with_suffix(".data")
    nodes, tensors, last = [], [], "x"
    with data.open("wb") as stream:
        for layer in range(layers):
            name, out = f"w{layer}", f"h{layer}"
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=weight.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", data.name),
                ("offset", str(stream.tell())),
                ("length", str(weight.nbytes)),
            ):
                tensor.external_data.add(key=key, value=value)
            # Rows turned from layer to layer: no two weights are equal.
            stream.write(np.roll(weight, layer, axis=0).tobytes())
            tensors.append(tensor)
            bias = onnx.numpy_helper.from_array(np.full(WIDTH, 0.01, "f4"), f"b{layer}")
            tensors.append(bias)
            nodes += [
                helper.make_node("MatMul", [last, name], [f"{out}_m"]),
                helper.make_node("Add", [f"{out}_m", bias.name], [f"{out}_a"]),
                helper.make_node("Relu", [f"{out}_a"], [out]),
            ]
            last = out
    graph = helper.make_graph(
        nodes,
        "big",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", WIDTH])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path.stat().st_size + data.stat().st_size


def peaks(command: list[Any], folder: Path) -> dict[int, dict[str, int]]:
    """Run `command`; by process, bytes at the highest: VmHWM, and RssAnon as sampled."""
    found: dict[int, dict[str, int]] = {}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        together = {"VmRSS": 0, "RssAnon": 0}
        while process.poll() is None:
            now = {"VmRSS": 0, "RssAnon": 0}
            for pid in _tree(process.pid):
                memory = _memory(pid)
                each = found.setdefault(pid, {})
                for key, value in memory.items():
                    each[key] = max(each.get(key, 0), value)
                for key in now:
                    now[key] += memory.get(key, 0)
            together = {key: max(value, now[key]) for key, value in together.items()}
            time.sleep(0.02)
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read()[-4000:])
        print(said.read()[-3000:])
    found[0] = together
    return found


def _memory(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    wanted = ("VmHWM", "VmRSS", "RssAnon", "RssFile")
    pairs = (line.split(":") for line in lines if line.startswith(wanted))
    return {key: int(value.split()[0]) * 1024 for key, value in pairs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.5)
    parser.add_argument("--folder", type=Path, help="where to work, with room for it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="taxiway-big-", dir=arguments.folder) as scratch:
        folder = Path(scratch)
        size = make_model(folder / "big.onnx", int(arguments.gigabytes * 1e9))
        x = np.random.default_rng(1).normal(size=(8, WIDTH)).astype("f4")
        np.savez(folder / "samples.npz", x=x, y=np.zeros(8, "i8"))
        (folder / "big.yaml").write_text(RECIPE)
        start = time.perf_counter()
        found = peaks(taxiway("run", "big.yaml", "--store", "store", "--output", "runs"), folder)
        seconds = time.perf_counter() - start
    print(f"model {size / 1e9:.2f} GB, {seconds:.0f} s")
    for pid, memory in found.items():
        who = "all at once" if pid == 0 else f"process {pid}"
        print(f"{who}: " + ", ".join(f"{k} {v / 1e9:.2f} GB" for k, v in memory.items()))
    largest = max(memory.get("VmHWM", 0) for memory in found.values())
    total = sum(memory.get("VmHWM", 0) for pid, memory in found.items() if pid)
    print(f"sum of the processes' peaks / size: {total / size:.2f} (bar {BAR})")
    print(f"largest process / size: {largest / size:.2f}")
    return 1 if total > BAR * size else 0


if __name__ == "__main__":
    sys.exit(main())
