"""ONNX's own backend tests through Taxiway: source -> ONNX -> ONNX -> run.

    python benchmarks/onnx_to_onnx_cases.py [--kinds node simple] [--every N] [--only TEXT]

For every case of the onnx wheel: does plain ONNX Runtime give the expected outputs, within the
case's own tolerances? If so, the case's file goes through the source step with its safety gate and
through the converter, and Taxiway's runner must give the same. What fails is listed with the
reason; the exit code is 1 where there is any.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from taxiway.plugins import Context, registry

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")


@dataclass(frozen=True)
class Case:
    """A model of the wheel, pairs of inputs and expected outputs, and the case's tolerances."""

    name: str
    model: onnx.ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float


def cases(kinds: Sequence[str] = KINDS) -> Iterator[Case]:
    """Every case of the installed onnx, in the order of their names."""
    from onnx.backend.test.loader import load_model_tests

    warnings.filterwarnings("ignore", category=RuntimeWarning)
    for kind in kinds:
        for test in sorted(load_model_tests(kind=kind), key=lambda test: test.name):
            if test.url and "/light/" in test.url:
                yield _light(test)
            elif test.model is not None:
                data = [
                    tuple([_plain(v) for v in values] for values in pair) for pair in test.data_sets
                ]
                yield Case(test.name, test.model, data, test.rtol, test.atol)
            elif test.model_dir:
                yield _stored(test)


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def _light(test: Any) -> Case:
    """One input of ones and zeros in turn, as the backend test runner makes it, and its outputs."""
    from onnx.backend.test.runner import Runner

    path = Path(onnx.__file__).parents[1] / test.url
    model = onnx.load(str(path))
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [
        Runner.generate_dummy_data(value, seed=0, name=test.model_name, random=False)
        for value in model.graph.input
        if value.name not in constants
    ]
    outputs = []
    for position in range(len(model.graph.output)):
        file = path.with_name(f"{path.stem}_output_{position}.pb")
        outputs.append(numpy_helper.to_array(onnx.load_tensor(str(file))))
    return Case(test.name, model, [(inputs, outputs)], test.rtol, test.atol)


def _stored(test: Any) -> Case:
    folder = Path(test.model_dir)
    model = onnx.load(str(folder / "model.onnx"))
    data = []
    for each in sorted(folder.glob("test_data_set*")):
        sides = []
        for side, values in (("input", model.graph.input), ("output", model.graph.output)):
            count = len(list(each.glob(f"{side}_*.pb")))
            sides.append(
                [
                    _read(each / f"{side}_{n}.pb", value.type)
                    for n, value in zip(range(count), values, strict=False)
                ]
            )
        data.append((sides[0], sides[1]))
    return Case(test.name, model, data, test.rtol, test.atol)


def _read(path: Path, type_: Any) -> Any:
    content = path.read_bytes()
    if type_.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if type_.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))


def same(expected: Any, found: Any, case: Case) -> bool:
    """As onnx.backend.test.runner compares; bfloat16 within two units in the last place."""
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(found) == len(expected)
            and all(same(a, b, case) for a, b in zip(expected, found, strict=True))
        )
    if expected is None or found is None:
        return expected is found
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape:
        return False
    if expected.dtype.kind in "OUS":
        return bool((expected.astype(str) == found.astype(str)).all())
    if expected.dtype != found.dtype:
        return False
    rtol = max(case.rtol, 2**-6) if expected.dtype.name == "bfloat16" else case.rtol
    if expected.dtype.isbuiltin == 2:
        expected, found = expected.astype(np.float32), found.astype(np.float32)
    return bool(np.allclose(found, expected, rtol=rtol, atol=case.atol, equal_nan=True))


def named(case: Case, inputs: Sequence[Any]) -> dict[str, Any]:
    """The inputs by name; old models list their initializers among them, which are not fed."""
    constants = {tensor.name for tensor in case.model.graph.initializer}
    names = [value.name for value in case.model.graph.input if value.name not in constants]
    return dict(zip(names, inputs, strict=False))


def onnxruntime_passes(case: Case) -> str | None:
    """None where plain ONNX Runtime gives the expected outputs, else why not.

    Where `session.run` does not take the dtype, its bytes go in through OrtValue.
    """
    import onnxruntime

    from taxiway.model.runners import onnx_values

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for inputs, expected in case.data:
            feeds = named(case, inputs)
            arrays = [v for v in (*inputs, *expected) if isinstance(v, np.ndarray)]
            if any(array.dtype.isbuiltin == 2 for array in arrays):
                names = [output.name for output in session.get_outputs()]
                outputs = onnx_values.run(session, names, feeds)
            else:
                outputs = session.run(None, feeds)
            if not same(list(expected), list(outputs), case):
                return "other outputs than expected"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def through_taxiway(case: Case, folder: Path) -> str | None:
    """None where the case's model comes through and gives the expected outputs, else why not."""
    from taxiway.model.runners import open_runner

    path = folder / "case.onnx"
    path.write_bytes(case.model.SerializeToString())
    source = registry().get("source", "onnx").step
    converter = registry().get("converter", "onnx_to_onnx").step
    works = [folder / "source", folder / "result"]
    for work in works:
        work.mkdir()
    try:
        options = msgspec.convert({"type": "onnx", "path": str(path)}, source.Config)
        model = source().run(options, Context(workdir=works[0]))
        result = converter().run(model, converter.Config(), Context(workdir=works[1]))
        runner = open_runner(result)
        for inputs, expected in case.data:
            outputs = runner.predict(named(case, inputs))
            found = [outputs[value.name] for value in case.model.graph.output]
            if not same(list(expected), found, case):
                return "other outputs than expected"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--every", type=int, default=1, help="take every Nth case")
    parser.add_argument("--only", default="", help="names that hold this text")
    parser.add_argument("--refused", action="store_true", help="list what ONNX Runtime fails, too")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    for number, case in enumerate(cases(arguments.kinds)):
        if number % arguments.every or arguments.only not in case.name:
            continue
        counts["cases"] += 1
        reason = onnxruntime_passes(case)
        if reason:
            counts["ONNX Runtime itself fails"] += 1
            if arguments.refused:
                print(f"runtime {case.name}: {reason[:300]}")
            continue
        counts["ONNX Runtime passes"] += 1
        with tempfile.TemporaryDirectory(prefix="taxiway-case-") as folder:
            failed = through_taxiway(case, Path(folder))
        counts["Taxiway fails" if failed else "Taxiway passes"] += 1
        if failed:
            print(f"FAIL {case.name}: {failed[:400]}", flush=True)
        if not number % 200:
            gc.collect()
    for what, count in counts.items():
        print(f"{count:5d}  {what}")
    return 1 if counts["Taxiway fails"] else 0


if __name__ == "__main__":
    sys.exit(main())
