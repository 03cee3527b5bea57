"""A transformers model as a module with plain tensors in and named tensors out. Imports PyTorch."""

from __future__ import annotations

from typing import Any

import torch


class Wrapped(torch.nn.Module):  # type: ignore[misc]
    """Calls `model` with the inputs it was exported with, and gives its `outputs` by name."""

    def __init__(self, model: Any, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        pixel_values: Any = None,
        input_values: Any = None,
        input_features: Any = None,
    ) -> dict[str, Any]:
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "pixel_values": pixel_values,
            "input_values": input_values,
            "input_features": input_features,
        }
        results = self.model(**{name: x for name, x in given.items() if x is not None})
        return self.named(results, attention_mask)

    def named(self, results: Any, mask: Any) -> dict[str, Any]:
        return {name: results[name] for name in self.outputs}


class SentenceEncoder(Wrapped):
    """Pools the token states [batch, sequence, n] to `sentence_embedding` [batch, n].

    mean: over the tokens of the attention mask; cls: the first token; max: the largest of the
    mask's tokens. normalize: to length 1. As the Pooling and Normalize modules of
    sentence-transformers do (Reimers and Gurevych 2019, "Sentence-BERT").
    """

    def __init__(self, model: Any, pooling: str, normalize: bool) -> None:
        super().__init__(model, ("sentence_embedding",))
        self.pooling, self.normalize = pooling, normalize

    def named(self, results: Any, mask: Any) -> dict[str, Any]:
        states = results["last_hidden_state"]
        weights = mask.unsqueeze(-1).to(states.dtype)
        if self.pooling == "cls":
            pooled = states[:, 0]
        elif self.pooling == "max":
            pooled = (states * weights + (weights - 1) * 1e9).max(1).values
        else:
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        if self.normalize:
            pooled = torch.nn.functional.normalize(pooled, p=2, dim=1)
        return {"sentence_embedding": pooled}
