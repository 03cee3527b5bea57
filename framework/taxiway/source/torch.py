"""A PyTorch model: a torch.export program, or weights together with the code that builds the model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from taxiway import plugins
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Context, ModelLocation
from taxiway.source.admit import admit, copy_file
from taxiway.source.factory import FactoryName, build, distribution_of, origin_of
from taxiway.source.located import Located

Dtype = Literal[
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"
]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of a model that is built from weights."""

    name: Annotated[
        str,
        Meta(description="The argument of `forward`.", pattern=r"^[A-Za-z_]\w*$"),
    ]
    shape: Annotated[
        list[int | str],
        Meta(description="Its axes: a size, or the name of a free axis, such as `batch`."),
    ]
    dtype: Annotated[Dtype, Meta(description="Its dtype.")] = "float32"

    def __post_init__(self) -> None:
        for axis in self.shape:
            if isinstance(axis, int) and axis < 1:
                raise ValueError(f"shape has the size {axis}; a size is at least 1")
            if isinstance(axis, str) and not re.fullmatch(r"[A-Za-z_]\w*", axis):
                raise ValueError(f"shape has the axis '{axis}'; its name must be an identifier")


class Torch(plugins.Source):
    """A torch.export program, copied; or weights, loaded into a model that installed code builds.

    The weights are a state dict (.pt, .pth, .bin) or safetensors. The model's class or function is
    named by `factory` and called with `arguments`; the weights must fit it exactly. It is then
    exported with the free axes that `inputs` name. A pickled module or TorchScript is refused.
    """

    class Config(Located, frozen=True, tag_field="type", tag="torch"):
        """A trained PyTorch model."""

        path: Annotated[
            ModelLocation,
            Meta(description="The .pt2 file; with `factory` the state dict or .safetensors."),
        ]
        factory: Annotated[
            FactoryName | None,
            Meta(
                description="What builds the model, as `package.module:callable` of an installed "
                "distribution: a subclass of torch.nn.Module, or a function annotated to return one."
            ),
        ] = None
        arguments: Annotated[
            dict[str, Any], Meta(description="Keyword arguments of `factory`: plain data.")
        ] = {}
        inputs: Annotated[
            list[Input], Meta(description="The model's inputs, in the order of `forward`.")
        ] = []

        def __post_init__(self) -> None:
            if self.factory and not self.inputs:
                raise ValueError("`factory` needs `inputs`: name, shape and dtype of each")
            if not self.factory and (self.arguments or self.inputs):
                raise ValueError("`arguments` and `inputs` belong to a `factory`, which is missing")
            if len({entry.name for entry in self.inputs}) != len(self.inputs):
                raise ValueError("`inputs` names one input twice")

    produces = "torch"
    libraries = ("torch",)

    def distributions(self, options: Config) -> tuple[str, ...]:
        return distribution_of(options.factory)

    def check(self, options: Config) -> None:
        if options.factory:
            origin_of(options.factory)

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        target = context.workdir / "model.pt2"
        if options.factory is None:
            admit(path, "torch")
            return describe(copy_file(path, target), "torch")
        import torch

        from taxiway.source.torch_export import export
        from taxiway.source.torch_weights import load_weights

        if not path.is_file():
            raise StepError(f"{path.name} is no file with weights")
        weights = load_weights(path)
        module = build(options.factory, options.arguments, torch.nn.Module, "torch.nn.Module")
        try:
            module.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise StepError(
                f"the weights of {path.name} do not fit '{options.factory}': "
                f"{' '.join(str(error).split())[:600]}",
                "check source.arguments, or save the state dict of this very class",
            ) from error
        export(module, options.inputs, target)
        return describe(target, "torch")
