"""The gate of a transformers model folder: a config that brings no code, and safetensors alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from taxiway.safety import safetensors_file

MAX_FILES = 10_000
MAX_CONFIG = 64 * 2**20
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
INDEX = "model.safetensors.index.json"


def findings(path: Path) -> list[str]:
    """What is unsafe in the folder, one line each. transformers is not imported."""
    files = []
    for at, file in enumerate(path.rglob("*")):
        if at >= MAX_FILES:
            return [f"the folder has more than {MAX_FILES} files"]
        files.append(file)
    found = [*_entries(path, sorted(files))]
    if found:
        return found
    for name in ("config.json", INDEX):
        if (path / name).is_file():
            found += _config(path / name)
    weights = sorted(path.glob("*.safetensors"))
    for file in weights:
        found += [f"{file.name}: {reason}" for reason in safetensors_file.findings(file)]
    if not (path / "config.json").is_file():
        found.append("it has no config.json")
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
    if not weights:
        found.append(
            f"its weights are pickles ({', '.join(pickles[:3])}); "
            "save them with model.save_pretrained(folder), which writes safetensors"
            if pickles
            else "it has no .safetensors file"
        )
    return found


def _entries(root: Path, files: list[Path]) -> Iterator[str]:
    base = root.resolve()
    for file in files:
        name = file.relative_to(root).as_posix()
        if file.is_symlink() and not file.resolve().is_relative_to(base):
            yield f"{name} is a link that leads outside of the folder"
        elif file.suffix in (".py", ".so", ".pyc"):
            yield f"{name} is code"
        elif name == "adapter_config.json":
            yield f"{name} names another model to load; merge the adapter and save the result"
        elif not (file.is_file() or file.is_dir()):
            yield f"{name} is no regular file"


def _config(file: Path) -> Iterator[str]:
    if file.stat().st_size > MAX_CONFIG:
        yield f"{file.name} is larger than {MAX_CONFIG >> 20} MiB"
        return
    try:
        config = json.loads(file.read_bytes())
    except RecursionError:
        yield f"{file.name} is nested too deeply"
        return
    except ValueError as error:
        yield f"{file.name} is no JSON: {error}"
        return
    if not isinstance(config, dict):
        yield f"{file.name} is no JSON object"
        return
    if file.name == INDEX:
        shards = config.get("weight_map")
        if not isinstance(shards, dict):
            yield f"{file.name} has no weight_map"
            return
        for name in sorted({str(part) for part in shards.values()}):
            if PurePosixPath(name).name != name or not (file.parent / name).is_file():
                yield f"{file.name} names {name!r}, no file of the folder"
        return
    stack: list[Any] = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
            yield from (reason for key in value if (reason := _key(str(key), value[key])))


def _key(key: str, value: Any) -> str | None:
    if key in ("auto_map", "trust_remote_code", "custom_pipelines") and value:
        return f"config.json has '{key}', which makes transformers run code of the folder"
    if key.endswith("implementation") and "/" in str(value):
        return f"config.json has '{key}': {value!r}, which is code from elsewhere"
    if key == "quantization_config" and value:
        return "config.json has 'quantization_config': save the model with plain weights"
    return None
