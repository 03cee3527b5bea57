"""The pass: whole channels are cut, so that the model does less work on any runtime."""

from __future__ import annotations

from typing import Any

from taxiway.optimize.channels.config import PruneChannelsConfig
from taxiway.plugins import Pass, Selection


class PruneChannels(Pass):
    """Removes the least important channels of convolutions and dense layers, and all that is connected.

    The model gets smaller and faster on every runtime. On Keras it can be trained after each cut; on ONNX it
    is cut once. Layers whose channels cannot be cut are named, with the reason.
    """

    Config = PruneChannelsConfig
    implementations = {
        "keras": "taxiway.optimize.channels.keras.prune:KerasChannels",
        "onnx": "taxiway.optimize.channels.onnx.prune:OnnxChannels",
    }
    establishes = frozenset({"channels pruned"})
    undoes = {
        "pruned": "weights change their size, so zeros are no longer where they were; put it first",
        "clustered": "what is left is trained, and shared values are no longer shared; put it first",
        "quantized": "channels are cut from float weights only; put it before the quantization",
    }
    approximates = True
    renews = True
    seeded = True

    def reads(self, options: Any) -> tuple[Selection, ...]:
        """The samples of the importance; the training of an implementation adds its rows."""
        selection = self.selection(options)
        return (selection,) if selection else ()

    def selection(self, options: PruneChannelsConfig) -> Selection | None:
        """What the importance is measured on, None where that is the weights alone."""
        return options.selection()
