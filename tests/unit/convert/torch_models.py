"""Small PyTorch models of different kinds, exported with free axes; also run as a script by a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.export import Dim


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, groups=8, padding="same"),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(8, 5)

    def forward(self, image: Any) -> Any:
        return self.head(self.features(image).flatten(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(24, 3)

    def forward(self, tokens: Any) -> Any:
        states, (hidden, _) = self.lstm(self.embed(tokens))
        return {"scores": self.head(states[:, -1]), "hidden": hidden.transpose(0, 1)}


class Regressor(nn.Module):
    """Numbers, categories and a flag in; one number and its spread out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.mean, self.spread = nn.Linear(9, 1), nn.Linear(9, 1)

    def forward(self, numbers: Any, category: Any, weekend: Any) -> Any:
        x = torch.cat([numbers, self.embed(category), weekend.float()[:, None]], 1)
        return self.mean(x), nn.functional.softplus(self.spread(x))


class Encoder(nn.Module):
    """nn.MultiheadAttention with a padding mask, a free sequence and a learned position."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(60, 16), nn.Parameter(torch.randn(64, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, tokens: Any, mask: Any) -> Any:
        x = self.embed(tokens) + self.position[: tokens.shape[1]]
        x = self.encoder(x, src_key_padding_mask=mask == 0)
        x, weights = self.attend(x, x, x, key_padding_mask=mask == 0)
        return {"states": x, "attention": weights}


def build() -> Iterator[tuple[str, Any]]:
    """(name, ExportedProgram) of each model."""
    torch.manual_seed(0)
    batch, sequence = Dim("batch", max=256), Dim("sequence", min=2, max=64)
    tokens = torch.randint(0, 50, (2, 9))
    cases: list[tuple[str, nn.Module, tuple[Any, ...], dict[str, Any]]] = [
        ("cnn", Cnn(), (torch.randn(2, 3, 16, 16),), {"image": {0: batch}}),
        ("lstm", Recurrent(), (tokens,), {"tokens": {0: batch}}),
        (
            "regressor",
            Regressor(),
            (torch.randn(2, 4), torch.tensor([1, 2]), torch.tensor([True, False])),
            {"numbers": {0: batch}, "category": {0: batch}, "weekend": {0: batch}},
        ),
        (
            "encoder",
            Encoder(),
            (tokens, torch.ones(2, 9, dtype=torch.int64)),
            {"tokens": {0: batch, 1: sequence}, "mask": {0: batch, 1: sequence}},
        ),
    ]
    for name, model, inputs, shapes in cases:
        yield name, torch.export.export(model.eval(), inputs, dynamic_shapes=shapes)
