"""Write vision/images.npz: pictures of coloured shapes, 32 by 32 and 96 by 96, without labels.

    python recipes/make_images.py

They stand for photographs where a model is calibrated and compared with itself: edges, surfaces, shadows
and noise in all colours. They say nothing about its accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

Image = np.ndarray


def backdrop(size: int, random: np.random.Generator) -> Image:
    """A gradient between two colours in a random direction: [size, size, 3] in 0..1."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    angle = random.uniform(0, 2 * np.pi)
    along = ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.7) / 1.4
    first, second = random.uniform(0, 1, (2, 3))
    return first + along[..., np.newaxis] * (second - first)


def shape(size: int, random: np.random.Generator) -> Image:
    """Where one random ellipse, box or stripe lies, with soft edges: [size, size] in 0..1."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    center, radius = random.uniform(0.2, 0.8, 2), random.uniform(0.1, 0.4, 2)
    angle = random.uniform(0, np.pi)
    dx, dy = x - center[0], y - center[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / radius[0]
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / radius[1]
    distance = (np.hypot(u, v), np.maximum(abs(u), abs(v)), abs(3 * u))[random.integers(3)]
    return np.clip((1 - distance) * size * radius.min(), 0, 1)


def picture(size: int, random: np.random.Generator) -> Image:
    """A backdrop, two to five shapes with their shadows, and noise: [size, size, 3] uint8."""
    image = backdrop(size, random)
    for _ in range(random.integers(2, 6)):
        mask = shape(size, random)[..., np.newaxis]
        shadow = np.roll(mask, size // 16, axis=(0, 1))
        image = image * (1 - 0.4 * shadow)
        image = image * (1 - mask) + mask * backdrop(size, random)
    # Steps of 8 keep the file small.
    noisy = image * 255 + random.normal(0, 3, image.shape)
    return np.clip(np.round(noisy / 8) * 8, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write pictures of coloured shapes.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "vision" / "images.npz")
    out = parser.parse_args().out
    random = np.random.default_rng(7)
    small = np.stack([picture(32, random) for _ in range(96)])
    large = np.stack([picture(96, random) for _ in range(24)])
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, x32=small, x96=large)
    print(f"{len(small)} and {len(large)} pictures; {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
