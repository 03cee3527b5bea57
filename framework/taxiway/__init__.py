"""Taxiway takes a trained model from a YAML recipe to a verified, deployable artifact.

import taxiway
result = taxiway.load("digits_int8").run()
print(result.metrics["result"]["accuracy"])
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxiway.api import Recipe, RunResult, load

__version__ = "0.1.0"
__all__ = ["Recipe", "RunResult", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from taxiway import api

        return getattr(api, name)
    raise AttributeError(f"module 'taxiway' has no attribute {name!r}")
