"""`taxiway parity`: are two model files the same model, and if not, where do they part?"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taxiway.cli.args import add_json, add_output, command
from taxiway.errors import UsageError

if TYPE_CHECKING:
    from taxiway.execute.compare_models import Comparison, Samples, Tell

EXAMPLES = """  taxiway parity model.keras model.tflite --data samples.npz
  taxiway parity saved_model/ model.onnx --data samples.npz --inputs audio=windows --samples 8
  taxiway parity vendor.onnx mine.onnx --random
  taxiway parity model.onnx model_int8.onnx --data samples.npz --json

exit codes: 0 the same model, 4 not the same, 1 one cannot be loaded or run, 5 refused for safety"""
NOT_EQUAL = 4


def main(argv: list[str]) -> int:
    parser = command(
        "parity",
        "Compare model B with model A, whatever their formats, on the same samples; where they\n"
        "differ, name the first operator that introduces an error and write a reproducer.",
        EXAMPLES,
    )
    parser.add_argument("a", metavar="A", type=Path, help="the reference: a model file or folder")
    parser.add_argument("b", metavar="B", type=Path, help="the model that should be the same")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="samples: arrays of a .npz, rows along axis 0"
    )
    parser.add_argument(
        "--inputs",
        action="append",
        default=[],
        metavar="NAME=ARRAY",
        help="the array for an input of A (repeatable; default: guessed by name, shape and dtype)",
    )
    parser.add_argument(
        "--split", metavar="NAME", help="take arrays whose names hold this, such as train"
    )
    parser.add_argument(
        "--random", action="store_true", help="random samples, made for the inputs of A"
    )
    parser.add_argument(
        "--samples", type=int, default=32, metavar="N", help="rows of the data (32)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of random samples and of the noise (0)"
    )
    add_json(parser)
    add_output(parser, "where parity/TIME/ is made for reproducer, figures and log (runs)")
    arguments = parser.parse_args(argv)
    return _compare(arguments, _samples(arguments))


def _samples(arguments: Namespace) -> Samples:
    from taxiway.execute.compare_models import Samples

    if (arguments.data is None) != arguments.random:
        found = "--data and --random exclude each other" if arguments.random else "no samples"
        raise UsageError(f"taxiway parity: {found}", "give --data FILE.npz, or --random")
    if arguments.samples < 1:
        raise UsageError(f"--samples {arguments.samples} is too few", "--samples 32")
    inputs = dict(_named(text) for text in arguments.inputs)
    return Samples(arguments.samples, arguments.data, inputs, arguments.split, arguments.seed)


def _named(text: str) -> tuple[str, str]:
    # A tensor's name may hold the sign itself; the array's name does not.
    name, equals, array = text.rpartition("=")
    if not (name and equals and array):
        raise UsageError(f"--inputs {text} is no NAME=ARRAY", "--inputs image=x_test")
    return name, array


def _compare(arguments: Namespace, samples: Samples) -> int:
    from taxiway.execute.compare_models import compare_models
    from taxiway.execute.folder import RunFolder
    from taxiway.model.formats import detect

    for path in (arguments.a, arguments.b):
        # A wrong path must leave no folder behind.
        detect(path)
    folder = RunFolder.create(arguments.output, "parity")
    with _progress(quiet=arguments.json) as tell:
        found = compare_models(arguments.a, arguments.b, samples, folder, tell)
    report = _plain(found, arguments)
    folder.write("figures.json", (json.dumps(report, indent=2) + "\n").encode())
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _show(found, arguments)
    return 0 if found.equal else NOT_EQUAL


def _plain(found: Comparison, arguments: Namespace) -> dict[str, object]:
    return {
        "reference": {"path": str(arguments.a), "format": found.reference.format},
        "candidate": {"path": str(arguments.b), "format": found.candidate.format},
        **found.figures,
        "folder": str(found.folder),
    }


def _show(found: Comparison, arguments: Namespace) -> None:
    from taxiway.report.parity import comparison, reproduce
    from taxiway.report.summary import console

    screen = console()
    screen.print(comparison(found, arguments.a.name, arguments.b.name))
    line = reproduce(found)
    if line:
        # Unbroken, to be copied.
        screen.print(f"reproduce it: {line}", soft_wrap=True, markup=False)


@contextmanager
def _progress(quiet: bool) -> Iterator[Tell]:
    """Shows on a terminal what is going on; elsewhere nothing but the result is printed."""
    from rich.console import Console

    screen = Console(stderr=True)
    if quiet or not screen.is_terminal:
        yield lambda what, done, total: None
        return
    with screen.status("") as status:

        def tell(what: str, done: int, total: int | None) -> None:
            if total and done < total:
                what = f"{what}: run {done + 1} of {total}"
            elif total:
                what = "judging; where they differ, looking for the operator"
            status.update(what)

        yield tell
