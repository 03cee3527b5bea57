"""The gate of a torch.export program (.pt2): its members, its payloads, its sample inputs, its graph.

Layout: `torch.export.pt2_archive` of torch 2.13. A program may also carry pickles, TorchScript objects
and compiled libraries; the loader then runs them, so they are refused here.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxiway.safety import torch_graph, torch_pickle
from taxiway.safety.zip_members import unsafe_members

MAX_JSON = 256 * 2**20
_GRAPH = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_PAYLOADS = {
    "data/weights/": "data/weights/model_weights_config.json",
    "data/constants/": "data/constants/model_constants_config.json",
}
_MEMBER = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version"
    r"|\.storage_alignment|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|extra/[\w.-]+"
)
_REASONS = {
    "data/aotinductor/": "is code compiled for one machine (AOTInductor)",
    "data/constants/custom_obj_": "is a TorchScript object",
    "data/constants/opaque_obj_": "is a pickled object",
    "models/": "is a second model",
    "data/executorch/": "is an ExecuTorch program",
}
_ITEM_SIZES = (
    dict.fromkeys((1, 2, 12, 29, 30, 31, 32, 33), 1)
    | dict.fromkeys((3, 6, 13, 28), 2)
    | dict.fromkeys((4, 7, 9, 34), 4)
    | dict.fromkeys((5, 8, 10, 35), 8)
    | {11: 16}
)
"""Bytes by `torch._export.serde.schema.ScalarType`."""


def root_of(names: list[str]) -> str | None:
    """The folder in which an archive of torch.export has its members; None where it is none."""
    roots = {name.partition("/")[0] for name in names}
    root = roots.pop() if len(roots) == 1 else ""
    return root if root and f"{root}/archive_format" in names else None


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. PyTorch is not imported, nothing is evaluated."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = unsafe_members(archive)
            root = root_of(archive.namelist())
            if found or root is None:
                return found or ["it has no archive_format"]
            members = {
                name.removeprefix(f"{root}/"): archive.getinfo(name) for name in archive.namelist()
            }
            return list(_members(members)) or list(_contents(archive, members))
    except RecursionError:
        return ["its graph is nested too deeply"]
    except (
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError),
        *(ValueError, KeyError, TypeError, AttributeError),
    ) as error:
        return [f"it is no readable torch.export program: {error}"]


def _members(members: dict[str, zipfile.ZipInfo]) -> Iterator[str]:
    for name in members:
        if not _MEMBER.fullmatch(name):
            reason = next((why for start, why in _REASONS.items() if name.startswith(start)), None)
            yield f"member {name!r} {reason or 'is no part of an exported program'}"
    for name in (_GRAPH, _SAMPLES, *_PAYLOADS.values()):
        if name not in members:
            yield f"it has no {name}"
        elif members[name].file_size > MAX_JSON:
            yield f"{name} is larger than {MAX_JSON >> 20} MiB"


def _contents(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Iterator[str]:
    yield from torch_graph.findings(json.loads(archive.read(members[_GRAPH])))
    for folder, config in _PAYLOADS.items():
        entries = json.loads(archive.read(members[config]))
        for name, payload in entries["config"].items():
            stored = members.get(f"{folder}{payload['path_name']}")
            for reason in _payload(payload, stored):
                yield f"tensor {name!r} {reason}"
    samples = archive.read(members[_SAMPLES])
    if samples:
        for reason in torch_pickle.archive_findings(io.BytesIO(samples), instances=False):
            yield f"sample inputs: {reason}"


def _payload(payload: dict[str, Any], stored: zipfile.ZipInfo | None) -> Iterator[str]:
    """A tensor must lie inside of the member that holds its bytes."""
    if payload["use_pickle"] is not False or not payload["tensor_meta"]:
        yield "is pickled: a tensor subclass; export plain tensors"
        return
    if stored is None:
        yield "has no member with its bytes"
        return
    meta = payload["tensor_meta"]
    if meta["device"]["type"] != "cpu":
        yield f"is bound to the device {meta['device']['type']!r}; export it on the CPU"
    sizes, strides = ([axis["as_int"] for axis in meta[key]] for key in ("sizes", "strides"))
    offset, item = meta["storage_offset"]["as_int"], _ITEM_SIZES.get(meta["dtype"], 0)
    numbers = [*sizes, *strides, offset]
    if not item or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        yield "has a dtype or sizes that make no sense"
    elif math.prod(sizes):
        last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
        if (last + 1) * item > stored.file_size:
            yield f"needs {(last + 1) * item} bytes, its member has {stored.file_size}"
    elif max([1, *sizes]) > 2**31:
        yield "claims an empty tensor of absurd sizes"
