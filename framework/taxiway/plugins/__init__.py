"""The contract between Taxiway and its plugins, and the registry that finds them."""

from taxiway.plugins.config import (
    LICENCE,
    PIN,
    ByteSize,
    Config,
    Duration,
    InputPath,
    ModelLocation,
)
from taxiway.plugins.dataset import CALIBRATION, TEST, Batch, Dataset, Selection
from taxiway.plugins.registry import SECTIONS, Plugin, Registry, registry
from taxiway.plugins.step import (
    Context,
    Converter,
    DataSource,
    Deploy,
    Evaluate,
    Measurement,
    Note,
    Parity,
    Pass,
    Source,
    Step,
    Target,
)

__all__ = [
    "CALIBRATION",
    "LICENCE",
    "PIN",
    "SECTIONS",
    "TEST",
    "Batch",
    "ByteSize",
    "Config",
    "Context",
    "Converter",
    "DataSource",
    "Dataset",
    "Deploy",
    "Duration",
    "Evaluate",
    "InputPath",
    "Measurement",
    "ModelLocation",
    "Note",
    "Parity",
    "Pass",
    "Plugin",
    "Registry",
    "Selection",
    "Source",
    "Step",
    "Target",
    "registry",
]
