"""Repetition: what recurs in a picture at a distance at which nothing recurs in its exemplar."""

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 2
"""Pixels by which a recurrence may lie elsewhere than in the exemplar."""
SAME = 0.9
"""The correlation from which on a picture repeats itself."""


def period(picture: Tensor) -> tuple[int, int] | None:
    """Return the shift (y, x), pixels, by which a picture (3, H, W) repeats itself, if it does.

    Only shifts of more than an eighth of the picture count: smooth pictures resemble themselves
    nearby.
    """
    height, width = picture.shape[-2:]
    down, across = 3 * height // 4, 3 * width // 4
    found = autocorrelation(picture, down, across)
    near, beside = height // 8, width // 8
    found[down - near : down + near + 1, across - beside : across + beside + 1] = 0
    index = int(found.argmax())
    y, x = divmod(index, found.shape[1])
    return (abs(y - down), abs(x - across)) if found.flatten()[index] > SAME else None


class Repetition:
    """The highest peak of a picture's autocorrelation above the exemplar's.

    0: none; 1: a tile that repeats exactly, in a picture whose exemplar does not repeat. Distances
    up to half of the smaller picture are looked at.
    """

    def __init__(self, exemplar: Tensor) -> None:
        """Keep the exemplar, float32 (3, H, W), RGB in [0, 1]."""
        self.exemplar = exemplar

    def __call__(self, picture: Tensor) -> dict[str, float]:
        """Measure a picture of any size."""
        down, across = (
            min(a, b) // 2
            for a, b in zip(picture.shape[-2:], self.exemplar.shape[-2:], strict=True)
        )
        mine = autocorrelation(picture, down, across)
        its = autocorrelation(self.exemplar, down, across)
        near = F.max_pool2d(its[None, None], 2 * TOLERANCE + 1, stride=1, padding=TOLERANCE)[0, 0]
        return {"repetition": (mine - near.clamp_min(0)).max().clamp_min(0).item()}


def autocorrelation(picture: Tensor, down: int, across: int) -> Tensor:
    """Return how much a picture correlates with itself shifted, -1 to 1.

    Only the overlap counts, by its own energy: a picture that repeats has exactly 1 at the period,
    and 0 everywhere if it is constant.

    Args:
        picture: (3, H, W); each channel's mean is taken off.
        down: the longest shift, pixels.
        across: the same, horizontally.

    Returns:
        float32 (2 down + 1, 2 across + 1), no shift in the middle.
    """
    x = (picture - picture.mean(dim=(-2, -1), keepdim=True)).double()
    size = [x.shape[-2] + down, x.shape[-1] + across]  # shifts do not wrap around
    values = torch.fft.rfft2(x, s=size)
    squares = torch.fft.rfft2(x.square(), s=size)
    area = torch.fft.rfft2(torch.ones_like(x), s=size)

    def correlate(a: Tensor, b: Tensor) -> Tensor:
        whole: Tensor = torch.fft.irfft2((a.conj() * b).sum(dim=0), s=size)
        return whole.roll((down, across), (0, 1))[: 2 * down + 1, : 2 * across + 1]

    energy = correlate(squares, area).clamp_min(0) * correlate(area, squares).clamp_min(0)
    return (correlate(values, values) / (energy.sqrt() + 1e-6)).float()
