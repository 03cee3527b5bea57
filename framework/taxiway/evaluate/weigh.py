"""What a model weighs: bytes, compressed bytes, parameters, and the share of them that is zero."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.runners import runtime_of

CHUNK, SAMPLED = 1 << 20, 256 << 20


def weigh(model: Model) -> dict[str, Any]:
    """`format`, `runtime`, `size`, `compressed` (bytes, DEFLATE at its default level), `parameters`
    and `sparsity` (share of zeros in kernels and tables, 0..1); the last two are None for a format whose
    weights are not known."""
    return {
        "format": model.format,
        "runtime": runtime_of(model.format),
        "size": model.size,
        "compressed": compressed(model),
        **_numbers(model),
    }


def _numbers(model: Model) -> dict[str, Any]:
    from taxiway.model.weights import stored_weights

    count = zeros = kernels = 0
    try:
        for weight in stored_weights(model):
            count += weight.size
            if weight.is_kernel:
                kernels += weight.size
                zeros += weight.zeros()
    except StepError:
        return {"parameters": None, "sparsity": None}
    return {"parameters": count, "sparsity": zeros / kernels if kernels else 0.0}


def compressed(model: Model) -> int:
    """Bytes of the model's files once compressed: what a download of it takes.

    Of more than 256 MiB, chunks at equal distances are compressed and their ratio counts for all.
    """
    step = -(-model.size // SAMPLED)
    packer, given, packed = zlib.compressobj(), 0, 0
    for number, chunk in enumerate(_chunks(model.files)):
        if number % step == 0:
            given += len(chunk)
            packed += len(packer.compress(chunk))
    packed += len(packer.flush())
    return packed if step == 1 else int(packed / given * model.size)


def _chunks(files: Sequence[Path]) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
