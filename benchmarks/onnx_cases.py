"""The node and model cases inside the onnx wheel, converted, run, and held against their own expected outputs.

    python benchmarks/onnx_cases.py --target tflite

A case counts where ONNX Runtime itself gives what the case expects. Each is converted by the
`onnx_to_TARGET` converter in a process of its own kind: one worker keeps TensorFlow loaded from case
to case, is given 60 s for each, and is started anew where it dies.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 60.0
TOLERANCE = 1e-3
"""Relative to the output's scale, as the cases' own rtol of 1e-3."""
KINDS = ("node", "simple", "light", "pytorch-converted", "pytorch-operator", "real")

EQUAL = "equal"
NAMED = "typed error, operator named"
UNNAMED = "typed error, operator not named"
WRONG = "wrong answer, caught by comparison"
CRASHED = "worker died or took too long"
TRACEBACK = "TRACEBACK"
UNFIT = "not counted: ONNX Runtime itself does not pass"
VERDICTS = (EQUAL, NAMED, UNNAMED, WRONG, CRASHED, TRACEBACK)


@dataclass(frozen=True)
class Outcome:
    """What became of one case. ops: the operator types of its model."""

    case: str
    verdict: str
    ops: list[str]
    reason: str = ""


def all_cases() -> dict[str, Any]:
    """Every case of the installed onnx package that needs no download, by name."""
    from onnx.backend.test.loader import load_model_tests

    os.environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", "/nonexistent")
    found = {}
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if case.url is None:
                found[f"{kind}/{case.name}"] = case
    return found


def load(case: Any) -> tuple[Any, list[tuple[list[Any], list[Any]]]]:
    """The model of a case, and its data sets: arrays in the order of inputs and of outputs."""
    import onnx
    from onnx import numpy_helper

    if case.model is not None:
        sets = [tuple(list(map(_plain, side)) for side in pair) for pair in case.data_sets]
        return case.model, sets
    folder = Path(case.model_dir)
    model = onnx.load(str(folder / "model.onnx"))
    sets = []
    for data in sorted(folder.glob("test_data_set_*")):
        sides = []
        for side in ("input", "output"):
            files = sorted(data.glob(f"{side}_*.pb"), key=lambda f: int(f.stem.split("_")[1]))
            tensors = [onnx.TensorProto.FromString(file.read_bytes()) for file in files]
            sides.append([numpy_helper.to_array(tensor) for tensor in tensors])
        sets.append((sides[0], sides[1]))
    return model, sets


def _plain(tensor: Any) -> Any:
    """Cases give arrays, and tensors of ONNX for types that NumPy does not have."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(tensor) if isinstance(tensor, TensorProto) else tensor


def same(expected: Any, found: Any) -> bool:
    """Exact for integers, booleans and strings; for reals the norm of the difference in float64,
    relative to that of the expected values."""
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape:
        return False
    if expected.dtype.kind not in "fc" and expected.dtype.name != "bfloat16":
        return bool(np.array_equal(expected.astype(found.dtype), found))
    wanted, got = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], got[~finite], equal_nan=True):
        return False
    norm = float(np.sqrt(np.square(wanted[finite]).sum()))
    error = float(np.sqrt(np.square(wanted[finite] - got[finite]).sum()))
    return error <= TOLERANCE * norm + 1e-7


def judge(name: str, case: Any, target: str, folder: Path) -> Outcome:
    """Convert one case and compare; see VERDICTS."""
    import onnx
    import onnxruntime

    from taxiway.errors import TaxiwayError
    from taxiway.model.inspect import describe
    from taxiway.model.runners import open_runner
    from taxiway.plugins import Context, registry

    model, sets = load(case)
    ops = sorted({node.op_type for node in model.graph.node})
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [v.name for v in model.graph.input if v.name not in constants]
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for given, expected in sets:
            results = session.run(None, dict(zip(inputs, given, strict=True)))
            if not all(map(same, expected, results)):
                return Outcome(name, UNFIT, ops, "other values")
    except Exception as error:
        return Outcome(name, UNFIT, ops, str(error)[:200])
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    work = folder / "work"
    work.mkdir()
    try:
        source = describe(path, "onnx")
        plugin = registry().get("converter", f"onnx_to_{target}")
        step = plugin.implementation("onnx")
        result = step.run(source, plugin.step.Config(), Context(workdir=work))
        runner = open_runner(result)
        for given, expected in sets:
            feed = dict(zip(inputs, given, strict=True))
            outputs = runner.predict(feed)
            wanted = dict(zip((v.name for v in model.graph.output), expected, strict=True))
            for output, array in wanted.items():
                if not same(array, outputs[output]):
                    return Outcome(name, WRONG, ops, f"output '{output}'")
    except TaxiwayError as error:
        ends = [v.name for v in (*model.graph.input, *model.graph.output)]
        named = any(re.search(rf"\b{re.escape(op)}\b", error.message) for op in ops) or any(
            f"'{end}'" in error.message for end in ends
        )
        return Outcome(name, NAMED if named else UNNAMED, ops, error.message[:400])
    except Exception as error:
        return Outcome(name, TRACEBACK, ops, f"{type(error).__name__}: {error}"[:400])
    return Outcome(name, EQUAL, ops)


def _serve(pipe: Any, target: str) -> None:
    """The worker: a name comes in, an outcome goes out."""
    log = os.open(os.devnull, os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    cases = all_cases()
    while True:
        name = pipe.recv()
        folder = Path(tempfile.mkdtemp())
        try:
            pipe.send(asdict(judge(name, cases[name], target, folder)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Guarded:
    """A worker process that is started when needed and again after it died."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._process: Any = None
        self._pipe: Any = None

    def judge(self, name: str) -> Outcome:
        context = multiprocessing.get_context("spawn")
        fresh = self._process is None
        if fresh:
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._target), daemon=True)
            self._process.start()
            theirs.close()
        try:
            self._pipe.send(name)
            # The first case waits for the imports, too.
            if self._pipe.poll(SECONDS * (3 if fresh else 1)):
                return Outcome(**self._pipe.recv())
            reason = f"more than {SECONDS:.0f} s"
        except (EOFError, OSError):
            self._process.join(5)
            reason = f"exit code {self._process.exitcode}"
        self.stop()
        return Outcome(name, CRASHED, [], reason)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def run(names: Iterable[str], target: str) -> list[Outcome]:
    """The outcome of each case, in order; progress goes to standard error."""
    names, worker, outcomes = list(names), Guarded(target), []
    started = time.monotonic()
    for count, name in enumerate(names, 1):
        outcomes.append(worker.judge(name))
        if count % 50 == 0 or count == len(names):
            seconds = time.monotonic() - started
            tally = Counter(outcome.verdict for outcome in outcomes)
            sys.stderr.write(f"{count}/{len(names)} {seconds:.0f} s {dict(tally)}\n")
    worker.stop()
    return outcomes


def report(outcomes: list[Outcome], target: str) -> str:
    """The share that converts and proves equal, and the reasons by operator, as Markdown."""
    counted = [outcome for outcome in outcomes if outcome.verdict != UNFIT]
    tally = Counter(outcome.verdict for outcome in counted)
    lines = [
        f"ONNX cases -> {target}: {len(outcomes)} cases, {len(counted)} that ONNX Runtime passes",
        "",
        "| verdict | cases | share |",
        "|---|---:|---:|",
        *(
            f"| {verdict} | {tally[verdict]} | {tally[verdict] / max(len(counted), 1):.1%} |"
            for verdict in VERDICTS
        ),
        "",
        "| operators | " + " | ".join(VERDICTS[1:]) + " | reason of the first |",
        "|---|" + "---:|" * len(VERDICTS[1:]) + "---|",
    ]
    groups: dict[str, list[Outcome]] = {}
    for outcome in counted:
        if outcome.verdict != EQUAL:
            groups.setdefault(_culprit(outcome), []).append(outcome)
    for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        inside = Counter(outcome.verdict for outcome in members)
        cells = " | ".join(str(inside[verdict] or "") for verdict in VERDICTS[1:])
        lines.append(f"| {group} | {cells} | {members[0].reason[:120].replace('|', '/')} |")
    return "\n".join(lines)


def _culprit(outcome: Outcome) -> str:
    """The operator that the reason names, else that of a model with one, else the name of the case."""
    named = [op for op in outcome.ops if re.search(rf"\b{re.escape(op)}\b", outcome.reason)]
    if named:
        return named[0]
    return outcome.ops[0] if len(outcome.ops) == 1 else outcome.case.split("/")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=("onnx", "tflite", "saved_model"), default="tflite")
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of cases")
    parser.add_argument("--every", type=int, default=1, help="each Nth case")
    parser.add_argument("--out", type=Path, help="JSON file for the outcomes")
    arguments = parser.parse_args()
    names = [
        name
        for name in all_cases()
        if not arguments.only or any(part in name for part in arguments.only)
    ]
    outcomes = run(names[:: arguments.every], arguments.target)
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    print(report(outcomes, arguments.target))
    return 1 if any(outcome.verdict == TRACEBACK for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
