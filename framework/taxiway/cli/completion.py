"""`taxiway completion`: a script for the shell, and the candidates that it asks for."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator

from taxiway.cli.args import command
from taxiway.errors import TaxiwayError, UsageError

EXAMPLES = """  eval "$(taxiway completion bash)"                                 in ~/.bashrc
  eval "$(taxiway completion zsh)"                                  in ~/.zshrc, after compinit
  taxiway completion fish > ~/.config/fish/completions/taxiway.fish"""

SCRIPTS = {
    "bash": r"""_taxiway() {
  local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n' word prefix=
  COMPREPLY=($(taxiway completion --complete "$line" 2>/dev/null))
  # Bash replaces only what follows the last word break, so what stands before it is cut off.
  word="${line##* }"
  case "$COMP_WORDBREAKS" in *=*) prefix="${word%"${word##*=}"}" ;; esac
  local index
  for index in "${!COMPREPLY[@]}"; do
    word="${COMPREPLY[index]#"$prefix"}"
    case "$word" in *[=./]) ;; *) word="$word " ;; esac
    COMPREPLY[index]="$word"
  done
}
complete -o nospace -o default -F _taxiway taxiway
""",
    "zsh": r"""#compdef taxiway
_taxiway() {
  local -a found open
  found=("${(@f)$(taxiway completion --complete "${LBUFFER}" 2>/dev/null)}")
  open=("${(@M)found:#*[=./]}")
  found=("${(@)found:#*[=./]}")
  [[ -n "${open[1]}" ]] && compadd -Q -S '' -- "${open[@]}"
  [[ -n "${found[1]}" ]] && compadd -Q -- "${found[@]}"
  [[ -n "${open[1]}${found[1]}" ]] || _files
}
compdef _taxiway taxiway
""",
    "fish": r"""function __taxiway
    set -l found (taxiway completion --complete "$(commandline -cp)" 2>/dev/null)
    if test -n "$found"
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c taxiway -f -a '(__taxiway)'
""",
}
_RECIPES = {"run": 1, "plan": 1, "show": 1, "validate": 1, "report": 1, "diff": 2}
"""Command -> how many recipes stand before the overrides."""


def main(argv: list[str]) -> int:
    parser = command("completion", "Print the completion script of a shell.", EXAMPLES)
    parser.add_argument("shell", nargs="?", help=", ".join(SCRIPTS))
    parser.add_argument(
        "--complete", metavar="LINE", help="print what may follow LINE (for the scripts)"
    )
    arguments = parser.parse_args(argv)
    if arguments.complete is not None:
        print("\n".join(candidates(arguments.complete)))
        return 0
    if arguments.shell not in SCRIPTS:
        found = (
            f"no completion for the shell '{arguments.shell}'"
            if arguments.shell
            else "which shell?"
        )
        raise UsageError(found, f"one of: {', '.join(SCRIPTS)}")
    print(SCRIPTS[arguments.shell], end="")
    return 0


def candidates(line: str) -> list[str]:
    """The words that the last word of `line` may become; `line` ends where the cursor is."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = [part.lstrip("'\"") for part in line.split()]
    if not line or line[-1].isspace():
        words.append("")
    word = words.pop() if len(words) > 1 else ""
    return [
        found for found in dict.fromkeys(_candidates(words[1:], word)) if found.startswith(word)
    ]


def _candidates(before: list[str], word: str) -> Iterator[str]:
    from taxiway.cli.main import COMMANDS

    if not before:
        yield from (*COMMANDS, "--help", "--version")
        return
    name = before[0]
    if name not in COMMANDS:
        return
    flags = _flags(name)
    if word.startswith("-"):
        yield from flags
        return
    if flags.get(before[-1]):
        return
    yield from _arguments(name, _positionals(before[1:], flags), word)


def _arguments(name: str, given: list[str], word: str) -> Iterator[str]:
    from taxiway.author import complete

    recipes = _RECIPES.get(name, 0)
    if name == "list" and not given:
        yield from ("recipes", "plugins", "groups", "runs")
    elif name == "completion" and not given:
        yield from SCRIPTS
    elif len(given) < recipes:
        yield from complete.recipes(word)
    elif recipes and name != "report":
        yield from complete.overrides(word, given[0], given[1:])


def _positionals(words: list[str], flags: dict[str, bool]) -> list[str]:
    """The words that are neither a flag nor a flag's value."""
    previous = ["", *words]
    return [
        w
        for p, w in zip(previous, words, strict=False)
        if not w.startswith("-") and not flags.get(p)
    ]


def _flags(name: str) -> dict[str, bool]:
    """Flag of a command -> whether a value follows it, as its `--help` says."""
    text = io.StringIO()
    module = importlib.import_module(f"taxiway.cli.{name}")
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit, TaxiwayError):
        module.main(["--help"])
    options = text.getvalue().partition("options:")[2].partition("examples:")[0]
    return {
        flag: bool(value)
        for flag, value in re.findall(r"(?<=[\s,])(--[a-z][a-z-]*)(?: ([A-Z]+))?", options)
    }
