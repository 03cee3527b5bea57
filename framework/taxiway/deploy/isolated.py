"""Runs a bundle's example in a process where the frameworks of training cannot be imported.

    python -I isolated.py BUNDLE/run.py [arguments]

A target has only the runtime: exit code 3 says that a blocked module was there all the same.
"""

from __future__ import annotations

import runpy
import sys

BLOCKED = ("tensorflow", "keras", "tf_keras", "torch", "taxiway")


def main() -> None:
    # None makes every import of the name raise ImportError.
    sys.modules.update(dict.fromkeys(BLOCKED))  # type: ignore[arg-type]
    sys.argv = sys.argv[1:]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        loaded = [name for name in BLOCKED if sys.modules.get(name) is not None]
        if loaded:
            sys.exit(3)


if __name__ == "__main__":
    main()
