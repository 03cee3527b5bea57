"""How far correct conversions and wrong epsilons lie from the tolerance: `python benchmarks/separation.py`.

Networks of PyTorch with the statistics of trained ones are run by PyTorch and exported to ONNX, once
as they are and once for each fault. For each row the table has the error of the correct export, the
tolerance that the proof sets from the network's own noise, and the error of the faulty export, all
relative to the output's scale.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.parity.compare import Observed, judge
from taxiway.parity.deviation import NONE, deviation, scale_of
from taxiway.parity.observe import observe, with_kernels
from taxiway.parity.perturb import perturbed
from taxiway.parity.tolerance import PRECISIONS, Noise

Array = np.ndarray[Any, Any]
FP32 = PRECISIONS["fp32"]
BN, LN = nn.BatchNorm2d, nn.LayerNorm


class Block(nn.Module):
    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(inside, out, 3, 2, 1, bias=False), BN(out)
        self.two, self.last = nn.Conv2d(out, out, 3, 1, 1, bias=False), BN(out)
        self.short = nn.Conv2d(inside, out, 1, 2)

    def forward(self, x: Any) -> Any:
        inner = torch.relu(self.norm(self.one(x)))
        return torch.relu(self.short(x) + self.last(self.two(inner)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 64)
        self.blocks = nn.Sequential(*map(Block, widths, widths[1:]))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(x).mean((2, 3)))


class Plain(nn.Module):
    """Eighteen convolutions deep."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for at in range(18):
            layers += [nn.Conv2d(32 if at else 3, 32, 3, 1, 1, bias=False), BN(32), nn.Hardswish()]
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.layers(x).mean((2, 3)))


class Encoder(nn.Module):
    """Six layers; over token ids, or over real-valued frames."""

    def __init__(self, ids: bool, norm_first: bool) -> None:
        super().__init__()
        width = 128
        self.embed = nn.Embedding(200, width) if ids else nn.Linear(16, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 8, 256, activation="gelu", batch_first=True, norm_first=norm_first
            )
            for _ in range(6)
        )
        self.head = nn.Linear(width, 12)

    def forward(self, x: Any) -> Any:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def trained_like(net: nn.Module, seed: int) -> nn.Module:
    """Gains around 1, shifts, and running variances over four orders of magnitude."""
    random = torch.Generator().manual_seed(seed)

    def normal(like: Any, mean: float, spread: float) -> Any:
        return mean + spread * torch.randn(like.shape, generator=random)

    for module in net.modules():
        if isinstance(module, BN | LN):
            module.weight.data = normal(module.weight, 1, 0.2)
            module.bias.data = normal(module.bias, 0, 0.3)
        if isinstance(module, BN):
            module.running_mean = normal(module.running_mean, 0, 0.5)
            module.running_var = normal(module.running_var, -1, 1.5).exp()
    return net


def calibrated(net: nn.Module, size: int) -> nn.Module:
    """Running statistics of normal noise, as training would leave them."""
    net.train()
    with torch.no_grad():
        for _ in range(40):
            net(torch.randn(8, 3, size, size))
    return net


def with_epsilon(net: nn.Module, kind: type[nn.Module], epsilon: float, at: int | None) -> Any:
    """A copy whose norms of this kind, or the one at this place, have another epsilon."""
    changed = copy.deepcopy(net)
    norms = [module for module in changed.modules() if isinstance(module, kind)]
    for norm in norms if at is None else [norms[at]]:
        norm.eps = epsilon  # type: ignore[assignment]
    return changed


def run(net: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        found: Array = net(torch.from_numpy(x)).numpy()
    return found


def export(net: nn.Module, x: Array, path: Path) -> Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.from_numpy(x[:2]),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
            do_constant_folding=False,
        )
    return describe(path, "onnx")


def observed(net: nn.Module, x: Array) -> Observed:
    """PyTorch's outputs with their noise, as the proof measures a reference's."""
    base = run(net, x)
    worst = NONE
    for variant in perturbed({"x": x}, FP32, seed=0):
        worst = worst.over(deviation(base, run(net, variant["x"]), scale_of(base)))
    return Observed("y", base, Noise(perturbed=worst))


def rows(
    name: str, net: nn.Module, x: Array, kind: type[nn.Module], epsilons: tuple[float, ...]
) -> Iterator[tuple[str, float, float, float]]:
    """(fault, correct error, tolerance, faulty error)."""
    net.eval()
    reference = observed(net, x)
    with tempfile.TemporaryDirectory() as folder:

        def error(made: nn.Module) -> tuple[float, float]:
            model = export(made, x, Path(folder) / "model.onnx")
            seen = observe(model, {"x": x}, (), FP32)
            (candidate,) = with_kernels(seen, model, {"x": x}, FP32)
            judgement = judge(reference, candidate, FP32)
            return judgement.error.total, judgement.limit.total

        correct, tolerance = error(net)
        for epsilon in epsilons:
            for where, at in (("all", None), ("first", 0), ("last", -1)):
                faulty, _ = error(with_epsilon(net, kind, epsilon, at))
                yield f"{name}, {where} {kind.__name__} {epsilon:g}", correct, tolerance, faulty


def cases() -> Iterator[tuple[str, float, float, float]]:
    random = np.random.default_rng(2)
    images = random.standard_normal((32, 3, 32, 32)).astype(np.float32)
    frames = random.standard_normal((16, 32, 16)).astype(np.float32)
    tokens = random.integers(0, 200, (16, 32))
    make: list[tuple[str, Callable[[], nn.Module], Array, type[nn.Module], tuple[float, ...]]] = [
        ("residual CNN", lambda: trained_like(Residual(), 1), images, BN, (1e-6, 1e-3)),
        ("calibrated CNN", lambda: calibrated(Residual(), 32), images, BN, (1e-6, 1e-3)),
        ("18 convolutions", lambda: calibrated(Plain(), 32), images[:16], BN, (1e-6, 1e-3)),
        ("encoder of frames", lambda: trained_like(Encoder(False, False), 3), frames, LN, (1e-6, 1e-12)),
        ("encoder of tokens", lambda: trained_like(Encoder(True, False), 3), tokens, LN, (1e-6, 1e-12)),
        ("pre-norm encoder", lambda: trained_like(Encoder(True, True), 3), tokens, LN, (1e-6, 1e-12)),
    ]  # fmt: skip
    for name, build, x, kind, epsilons in make:
        torch.manual_seed(0)
        yield from rows(name, build(), x, kind, epsilons)


def main() -> int:
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    print(
        f"{'network, and epsilon in place of 1e-5':45} correct  tolerance  faulty   faulty/tolerance"
    )
    missed = 0
    for what, correct, tolerance, faulty in cases():
        seen = faulty > tolerance
        missed += not seen
        mark = "" if seen else "  not told apart"
        print(
            f"{what:45} {correct:7.1e}  {tolerance:9.1e}  {faulty:7.1e}  {faulty / tolerance:8.2f}{mark}"
        )
        if correct > tolerance:
            print(f"  FALSE ALARM: {correct / tolerance:.2f} times the tolerance")
            return 1
    print(f"{missed} faults were not told apart from rounding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
