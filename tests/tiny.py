"""Tiny generators, untrained, and checkpoints of them."""

import dataclasses

import torch
from torch import nn

from tn_runtime.spec import Exemplar
from tn_train.checkpoint import Checkpoint
from tn_train.config import Budget, GeneratorConfig, TrainingConfig
from tn_train.generator import Generator
from tn_train.norm import InstanceNorm
from tn_train.photos import Content

TINY = GeneratorConfig(widths=(12, 16, 8))
TINY_STYLE = dataclasses.replace(TINY, content_channels=3)
EXEMPLARS = ("leaves.png", "waves.png", "stars.png")
TINY_INSTANCE = dataclasses.replace(TINY_STYLE, norm="instance", noise_channels=0, slope=0.0)


def untrained(config: GeneratorConfig) -> Generator:
    """A generator with norms as varied as a trained one's, in eval mode."""
    torch.manual_seed(0)
    generator = Generator(config)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.BatchNorm2d | InstanceNorm):
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.uniform_(-1, 1)
    _stretch_contrast(generator.eval())
    return generator


@torch.no_grad()
def _stretch_contrast(generator: Generator) -> None:
    """Give every colour a mean of 0.5 and a deviation of 0.1: flat pictures prove nothing."""
    image = generator(*(torch.rand(shape) for shape in generator.input_shapes(4, 64, 64)))
    mean, std = image.mean((0, 2, 3)), image.std((0, 2, 3))
    generator.to_rgb.weight *= (0.1 / std).view(-1, 1, 1, 1)
    generator.to_rgb.bias.copy_((generator.to_rgb.bias - mean) * 0.1 / std + 0.5)


@torch.no_grad()
def alone(generator: Generator, style: int) -> Generator:
    """A generator of one of the styles."""
    single = Generator(dataclasses.replace(generator.config, styles=1))
    rows = slice(style, style + 1)
    weights = generator.state_dict()
    single.load_state_dict({k: v[rows] if v.ndim == 2 else v for k, v in weights.items()})
    return single.eval()


def checkpoint_of(generator: Generator) -> Checkpoint:
    exemplars = (
        Exemplar(name, str(number) * 64, 64, 48, credit="A. Nyone", license="CC0")
        for number, name in enumerate(EXEMPLARS[: generator.config.styles])
    )
    return Checkpoint(
        name="tiny",
        preset="paper",
        config=generator.config,
        training=TrainingConfig(),
        budget=Budget(),
        descriptor="vgg16",
        exemplars=tuple(exemplars),
        content=Content(5, "0" * 64) if generator.config.kind == "style" else None,
        weights=generator.state_dict(),
        steps=7,
        seconds=1.5,
        loss=0.25,
    )
