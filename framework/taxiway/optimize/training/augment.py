"""Random changes of training samples: affine maps of images, mirror images, and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Signature
from taxiway.optimize.training.config import Augmentation

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_IMAGE_RANK = 4


def check_augmentation(options: Augmentation, signature: Signature) -> None:
    """Raise StepError where an option asks for images and the network takes none."""
    asked = [name for name in ("shift", "rotate", "zoom", "flip") if getattr(options, name)]
    takes_images = any(len(spec.shape) == _IMAGE_RANK for spec in signature.inputs)
    if asked and not takes_images:
        raise StepError(
            f"training.augment.{asked[0]} moves pixels of an input [height, width, channels]; the model "
            f"takes {', '.join(map(str, signature.inputs))}",
            f"training.augment.{asked[0]}=0; training.augment.noise works on any input",
        )


def augmented(
    inputs: tuple[Array, ...], options: Augmentation, rng: np.random.Generator
) -> tuple[Array, ...]:
    """The inputs, changed; shapes and dtypes stay, and inputs of integers that are no images, too.

    All images of a sample get the same shift, rotation, zoom and mirroring.
    """
    import numpy as np

    if options == Augmentation():
        return inputs
    count = len(inputs[0])
    maps = _affine(options, count, rng)
    changed = []
    for array in inputs:
        result = array
        if array.ndim == _IMAGE_RANK and maps is not None:
            result = _moved(array, maps)
        if options.noise and array.dtype.kind == "f":
            noise = rng.standard_normal(array.shape, np.float32) * np.float32(options.noise)
            result = result + noise.astype(array.dtype)
        changed.append(result)
    return tuple(changed)


def _affine(options: Augmentation, count: int, rng: np.random.Generator) -> Array | None:
    """One matrix `[2, 3]` per sample, from a pixel of the result to one of the source.

    Coordinates run over -1..1 from edge to edge. None where nothing moves.
    """
    import numpy as np

    if not (options.shift or options.rotate or options.zoom or options.flip):
        return None
    angle = np.deg2rad(rng.uniform(-options.rotate, options.rotate, count))
    scale = 1 + rng.uniform(-options.zoom, options.zoom, count)
    # A shift by the whole height is a distance of 2.
    shift = 2 * rng.uniform(-options.shift, options.shift, (count, 2))
    mirror = np.where(rng.random(count) < 0.5, -1, 1) if options.flip else np.ones(count)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    rows = np.stack([cos, sin * mirror, shift[:, 0]], axis=1)
    columns = np.stack([-sin, cos * mirror, shift[:, 1]], axis=1)
    return np.stack([rows, columns], axis=1)


def _moved(images: Array, maps: Array) -> Array:
    """Images `[n, height, width, channels]` sampled bilinearly; what lies outside is the nearest edge."""
    import numpy as np

    count, height, width, _ = images.shape
    ys = (2 * np.arange(height) + 1) / height - 1
    xs = (2 * np.arange(width) + 1) / width - 1
    # Turned in pixels, so that an image that is not square keeps its angles.
    grid = np.stack(np.meshgrid(ys * height, xs * width, indexing="ij"), axis=-1).reshape(-1, 2)
    size = np.array([height, width], float)
    at = np.einsum("nij,pj->npi", maps[:, :, :2], grid) + maps[:, None, :, 2] * size
    at = np.clip((at + size - 1) / 2, 0, size - 1)
    low = np.minimum(np.floor(at).astype(np.intp), np.maximum(size.astype(np.intp) - 2, 0))
    part = (at - low).astype(np.float32)[..., None]
    high = np.minimum(low + 1, size.astype(np.intp) - 1)
    sample = np.arange(count)[:, None]

    def pixel(y: Array, x: Array) -> Array:
        return images[sample, y, x].astype(np.float32)

    top = (
        pixel(low[..., 0], low[..., 1]) * (1 - part[..., 1, :])
        + pixel(low[..., 0], high[..., 1]) * part[..., 1, :]
    )
    bottom = (
        pixel(high[..., 0], low[..., 1]) * (1 - part[..., 1, :])
        + pixel(high[..., 0], high[..., 1]) * part[..., 1, :]
    )
    moved: Array = top * (1 - part[..., 0, :]) + bottom * part[..., 0, :]
    if images.dtype.kind in "iu":
        moved = np.rint(moved)
    return moved.reshape(images.shape).astype(images.dtype)
