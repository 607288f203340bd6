"""What a texture generator is fed with in training: noise, and the waves of a regular pattern."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tn_train import torus
from tn_train.config import Wave
from tn_train.generator import Generator
from tn_train.waves import TURN, shown, waves


@dataclass(frozen=True)
class Sample:
    """The input of a generator, and where its waves are."""

    pyramid: list[Tensor]
    """As for `Generator.forward`."""
    waves: tuple[Wave, ...]
    """Those that the pictures are made with."""
    offsets: Tensor
    """float64 (N, n), the phase of each wave at the first pixel of each picture, turns."""


def draw(
    generator: Generator,
    batch: int,
    height: int,
    width: int,
    rng: torch.Generator,
    *,
    jitter: float = 0.0,
) -> Sample:
    """Draw the input of `batch` pictures of height x width pixels, multiples of the stride.

    Without waves and fine levels the noise is a torus, which equals the paper's circular
    convolution. A pattern does not fit a torus, and a sample of a fine level is a small part of the
    exemplar: these are windows of the endless plane.

    Args:
        generator: says how many levels, channels and what halos; it is not run.
        batch: number of pictures.
        height: of the pictures, pixels.
        width: the same.
        rng: on the CPU, whatever the device of training, so that one seed means one input.
        jitter: largest relative change of the wave vectors.
    """
    config = generator.config
    if config.waves or config.fine:
        pyramid = [
            torch.rand(batch, config.noise_channels, *sides, generator=rng)
            for _, _, *sides in generator.input_shapes(batch, height, width)
        ]
    else:
        pyramid = torus.draw(generator, batch, height, width, rng)
    if not config.waves:
        return Sample(pyramid, (), torch.zeros(batch, 0, dtype=torch.float64))
    y, x = (1 + jitter * (2 * torch.rand(2, generator=rng) - 1)).tolist()
    drawn = tuple(Wave(round(y * each.y), round(x * each.x)) for each in config.waves)
    offsets = torch.randint(TURN, (batch, len(drawn)), generator=rng)
    start = offsets.numpy().astype(np.uint32)
    for level in range(config.wave_level, config.levels):
        sides = pyramid[level].shape[-2:]
        places = [np.arange(side) - generator.halos[level] for side in sides]
        planes = waves(drawn, level - config.wave_level + 1, start, places)
        planes *= shown(config, level)[:, None, None]
        pyramid[level] = torch.cat([pyramid[level], torch.from_numpy(planes)], dim=1)
    return Sample(pyramid, drawn, offsets.double() / TURN)
