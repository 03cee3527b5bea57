"""`taxiway report`: the summary of a run that is over."""

from __future__ import annotations

from taxiway.cli.args import add_json, add_output, command

EXAMPLES = """  taxiway report                              the newest run
  taxiway report digits_int8                  the newest run of that recipe
  taxiway report runs/digits_int8/2026-01-05_10-00-00
  taxiway report digits_int8 --json"""


def main(argv: list[str]) -> int:
    parser = command("report", "Show the results of a run again.", EXAMPLES)
    parser.add_argument(
        "run", nargs="?", help="a run's folder, or a recipe's name (default: the newest run)"
    )
    add_output(parser, "where runs are looked for (runs)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    from taxiway.report.runs import find_run

    result = find_run(arguments.run, arguments.output)
    if arguments.json:
        print(result.to_json().decode(), end="")
        return 0
    from taxiway.report.summary import console, summary

    console().print(summary(result))
    return 0
