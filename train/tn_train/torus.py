"""The noise that a generator is fed with in training: tori, wrapped around by the halo."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tn_train.generator import Generator


def draw(
    generator: Generator, batch: int, height: int, width: int, rng: torch.Generator
) -> list[Tensor]:
    """Draw the noise of `batch` tori of `height` x `width` pixels, ready for the generator.

    Each level is drawn at its own resolution, never averaged down from a finer one, as in the
    authors' NoiseFill. Feeding the *valid* network with wrapped noise equals circular convolution
    (section 3.1).

    Args:
        generator: says how many levels, channels and what halos; it is not run.
        batch: number of pictures.
        height: of the picture, a multiple of the generator's stride.
        width: the same.
        rng: on the CPU, whatever the device of training, so that one seed means one noise.

    Returns:
        Finest level first, float32 (batch, noise_channels, h / 2^k + 2 halo, w / 2^k + 2 halo),
        uniform in [0, 1), on the CPU.
    """
    channels = generator.config.noise_channels
    tori = [
        torch.rand(batch, channels, height // 2**level, width // 2**level, generator=rng)
        for level in range(generator.config.levels)
    ]
    return wrap(tori, generator.halos)


def wrap(tori: Sequence[Tensor], halos: Sequence[int]) -> list[Tensor]:
    """Continue each torus (N, C, H, W) by its halo on all sides, also where the halo is larger."""
    return [
        torus[..., _around(torus.shape[-2], halo)[:, None], _around(torus.shape[-1], halo)]
        for torus, halo in zip(tori, halos, strict=True)
    ]


def _around(length: int, halo: int) -> Tensor:
    return torch.arange(-halo, length + halo) % length
