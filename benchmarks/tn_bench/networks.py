"""The PyTorch network inside a model file, and the plain ONNX export that most people would make.

BatchNorms are folded into the convolutions, as in the file: PyTorch is compared at its best.
"""

import copy
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tn_export.optimize import folded
from tn_export.source import generator_of
from tn_runtime import session
from tn_runtime.schema import build
from tn_train.config import GeneratorConfig
from tn_train.generator import Generator
from tn_train.norm import EPS, Condition, InstanceNorm

if TYPE_CHECKING:
    from torch.export import Dim

LARGEST_COARSE = 4096
"""Sides of the coarsest level that the plain export takes, at most."""


def save(model: Path, path: Path) -> float:
    """Write the network of a model file to where `load` reads it.

    Returns:
        Its multiplications per pixel.
    """
    generator = generator_of(session.load(model, "cpu"))
    facts = {"config": dataclasses.asdict(generator.config), "state": generator.state_dict()}
    torch.save(facts, path)
    side = 8 * generator.config.stride
    once, twice, thrice = (_operations(generator, side * factor) for factor in (1, 2, 3))
    # A window costs a + b side + c side^2 with its halo; the second difference is 2 c side^2.
    return (thrice - 2 * twice + once) / 2 / side**2 / 2


def load(path: Path) -> Generator:
    """Return the network that `save` wrote."""
    facts = torch.load(path, weights_only=True)
    generator = folded(Generator(build(GeneratorConfig, facts["config"])))
    generator.load_state_dict(facts["state"])
    return generator


def _operations(generator: Generator, side: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    z = [torch.zeros(shape) for shape in generator.input_shapes(1, side, side)]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        generator(*z)
    return int(counter.get_total_flops())


class Plain(nn.Module):
    """The network as in a textbook: padded convolutions, no halo, floats in and out."""

    def __init__(self, generator: Generator) -> None:
        """Take a network; its convolutions get circular padding, those of a style the border's."""
        super().__init__()
        self.network = copy.deepcopy(generator)
        self.network.crops = [0] * len(generator.crops)
        mode = "circular" if generator.config.kind == "texture" else "replicate"
        for module in list(self.network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d) and child.kernel_size != (1, 1):
                    setattr(module, name, _padded(child, mode))
                elif isinstance(child, InstanceNorm):
                    setattr(module, name, _usual(child))

    def forward(self, *levels: Tensor) -> Tensor:
        """Return float32 (N, 3, h, w) of levels (N, C, h / 2^k, w / 2^k), finest first."""
        return self.network.run(levels, Condition())


def export_plain(saved: Path, path: Path) -> None:
    """Write the plain network of what `save` wrote as ONNX, for any square or oblong size."""
    generator = load(saved)
    plain = Plain(generator).eval()
    down, across = (torch.export.Dim(name, min=2, max=LARGEST_COARSE) for name in ("h", "w"))
    levels, shapes = [], []
    for level, shape in enumerate(generator.input_shapes(1, 256, 256)):
        factor = 2 ** (generator.config.levels - 1 - level)
        levels.append(torch.rand(1, shape[1], 256 >> level, 256 >> level))
        shapes.append({2: _times(factor, down), 3: _times(factor, across)})
    torch.onnx.export(
        plain,
        tuple(levels),
        path,
        input_names=[f"level_{level}" for level in range(len(levels))],
        output_names=["image"],
        dynamic_shapes=(tuple(shapes),),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _times(factor: int, dim: "Dim") -> "Dim":
    return dim if factor == 1 else factor * dim


def _padded(convolution: nn.Conv2d, mode: str) -> nn.Conv2d:
    made = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]  # a pair
        padding=1,
        padding_mode=mode,  # type: ignore[arg-type]  # one of the known
    )
    made.load_state_dict(convolution.state_dict())
    return made


def _usual(norm: InstanceNorm) -> nn.InstanceNorm2d:
    made = nn.InstanceNorm2d(norm.channels, eps=EPS, affine=True)
    made.load_state_dict({name: each.mean(0) for name, each in norm.state_dict().items()})
    return made
