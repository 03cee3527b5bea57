"""Write speech/audio.npz: windows of synthesised sound for Basic Pitch.

    python recipes/make_audio.py

Basic Pitch takes windows of 43,844 samples, 22,050 a second, one channel (`AUDIO_N_SAMPLES` of its
constants.py). The tones are sums of harmonics with an attack and a decay; everything is computed here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

RATE = 22_050
SAMPLES = 43_844
FULL_SCALE = 32_767
Sound = np.ndarray


def hertz(note: float) -> float:
    """The frequency of a MIDI note number; 69 is A4, 440 Hz."""
    return float(440.0 * 2 ** ((note - 69) / 12))


def tone(note: float, start: float, seconds: float, loudness: float = 0.3) -> Sound:
    """One note of six harmonics, silent before and after: [SAMPLES] in -1..1."""
    time = np.arange(SAMPLES) / RATE - start
    harmonics = sum(
        np.sin(2 * np.pi * hertz(note) * order * time) / order**1.5 for order in range(1, 7)
    )
    shape = (
        np.clip(time / 0.01, 0, 1) * np.exp(-1.5 * time) * np.clip((seconds - time) / 0.05, 0, 1)
    )
    return np.where((time >= 0) & (time <= seconds), loudness * harmonics * shape, 0.0)


def windows() -> dict[str, Sound]:
    """Name -> window: notes, chords, a sweep, noise and silence."""
    time = np.arange(SAMPLES) / RATE
    random = np.random.default_rng(7)
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    sweep = 110 * (1760 / 110) ** (time / time[-1])
    return {
        "one note": tone(69, 0.2, 1.5),
        "scale": np.sum([tone(n, 0.05 + 0.23 * i, 0.25) for i, n in enumerate(scale)], axis=0),
        "chords": np.sum(
            [tone(n, 0.1, 0.8, 0.2) for n in (48, 60, 64, 67)]
            + [tone(n, 1.0, 0.9, 0.2) for n in (41, 57, 60, 65)],
            axis=0,
        ),
        "bend": 0.3 * np.sin(2 * np.pi * np.cumsum(hertz(64) * 2 ** (time / 12)) / RATE),
        "sweep": 0.3 * np.sin(2 * np.pi * np.cumsum(sweep) / RATE),
        "noise": 0.05 * random.standard_normal(SAMPLES) + tone(57, 0.5, 1.0, 0.2),
        "silence": np.zeros(SAMPLES),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write windows of synthesised sound.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "speech" / "audio.npz")
    out = parser.parse_args().out
    sounds = windows()
    audio = np.stack([np.clip(sound, -1, 1) for sound in sounds.values()])[..., np.newaxis]
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, audio=np.round(audio * FULL_SCALE).astype(np.int16))
    print(f"{len(sounds)} windows: {', '.join(sounds)}; {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
