"""PyTorch programs, scikit-learn estimators, transformers folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from matrix.models import ROWS, Samples, Specimen, normal, tokens


def _program(make: Any, *shape: int) -> Any:
    def write(folder: Path) -> Path:
        import torch

        torch.manual_seed(0)
        batch = torch.export.Dim("batch", min=2, max=1024)
        program = torch.export.export(
            make(torch).eval(), (torch.randn(4, *shape),), dynamic_shapes=({0: batch},)
        )
        torch.export.save(program, folder / "model.pt2")
        return folder / "model.pt2"

    return write


def _torch_cnn(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.Hardswish(),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


def _torch_encoder(torch: Any) -> Any:
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    return torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


def _torch_recurrent(torch: Any) -> Any:
    class Last(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cells = torch.nn.LSTM(4, 6, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.cells(x)[0][:, -1]

    return Last()


def _data() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 6)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] ** 2 > 0.7).astype(int)


def _estimator(make: Any) -> Any:
    def write(folder: Path) -> Path:
        import skops.io

        skops.io.dump(make().fit(*_data()), folder / "model.skops")
        return folder / "model.skops"

    return write


def _pipeline() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression())


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(10, max_depth=4, random_state=0)


def _rows() -> Samples:
    return {"X": _data()[0][:ROWS]}


def _bert(folder: Path) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder / "bert")
    return folder / "bert"


def specimens() -> Iterator[Specimen]:
    torch = {"needs": "torch"}
    yield Specimen(
        "torch", "convolutional", _program(_torch_cnn, 3, 16, 16), normal(3, 16, 16), **torch
    )
    yield Specimen("torch", "recurrent", _program(_torch_recurrent, 10, 4), normal(10, 4), **torch)
    yield Specimen("torch", "attention", _program(_torch_encoder, 12, 16), normal(12, 16), **torch)
    yield Specimen("sklearn", "scaler, linear", _estimator(_pipeline), _rows, needs="skops")
    yield Specimen("sklearn", "forest", _estimator(_forest), _rows, needs="skops")
    yield Specimen(
        "huggingface",
        "BERT",
        _bert,
        tokens("input_ids", "attention_mask", "token_type_ids"),
        needs="transformers",
    )
