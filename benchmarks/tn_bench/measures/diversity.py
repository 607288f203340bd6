"""Diversity: whether the samples of one generator differ as much as parts of the exemplar do."""

import itertools
from collections.abc import Iterator, Sequence
from statistics import mean

import torch
from torch import Tensor

from tn_bench.picture import halves

GRID = 3
"""Templates per side that are cut from a picture."""
FRACTION = 4
"""A template has the shorter side of the exemplar over this."""


def diversity(samples: Sequence[Tensor], exemplar: Tensor) -> float:
    """Return the mean distance of two samples over that of two halves of the exemplar.

    0: copies, shifted or not. 1: as different as parts of the exemplar; a little less is usual,
    since a sample has more places than half an exemplar to find something alike in.

    Args:
        samples: two or more pictures (3, H, W), RGB in [0, 1], or features of pictures (C, H, W).
        exemplar: the same of the exemplar.
    """
    side = min(exemplar.shape[-2:]) // FRACTION
    center = exemplar.mean(dim=(-2, -1), keepdim=True)
    samples = [sample - center for sample in samples]
    parts = halves(exemplar - center)
    among_samples = mean(distance(a, b, side) for a, b in itertools.combinations(samples, 2))
    among_parts = mean(distance(a, b, side) for a, b in parts)
    return among_samples / max(among_parts, 1e-9)


def distance(a: Tensor, b: Tensor, side: int) -> float:
    """Return the mean squared distance of a's templates from b, each at its best place there.

    Args:
        a: (C, H, W).
        b: (C, h, w), which is taken as a torus: a shifted copy of a has distance 0.
        side: of the templates, at most that of either.
    """
    size = list(b.shape[-2:])
    spectrum = torch.fft.rfft2(b.double())
    area = torch.fft.rfft2(torch.ones(side, side, dtype=torch.float64), s=size)
    energy = area.conj() * torch.fft.rfft2(b.double().square().sum(dim=0))

    def best(template: Tensor) -> float:
        """Return the least (T - B)^2 = T^2 - 2 T B + B^2 over all places of the template."""
        cross = (torch.fft.rfft2(template, s=size).conj() * spectrum).sum(dim=0)
        distances: Tensor = torch.fft.irfft2(energy - 2 * cross, s=size)
        return max((template.square().sum() + distances.min()).item(), 0.0) / template.numel()

    return mean(best(template) for template in _templates(a.double(), side))


def _templates(picture: Tensor, side: int) -> Iterator[Tensor]:
    """Yield squares on an even grid over the picture."""
    height, width = picture.shape[-2:]
    for row, column in itertools.product(range(GRID), repeat=2):
        y, x = row * (height - side) // (GRID - 1), column * (width - side) // (GRID - 1)
        yield picture[:, y : y + side, x : x + side]
