"""Patches at several scales, compared without any network.

After the sliced Wasserstein distance of Karras et al. (2018, "Progressive Growing of GANs", section
5): random projections of 7x7 patches of a Laplacian pyramid. Unlike theirs the patches keep their
mean and contrast, so that colours count.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tn_bench.measures.wasserstein import sliced_distance
from tn_bench.picture import enlarged, reduced

SIDE = 7
"""Side of a patch, pixels."""
DIRECTIONS = 128
SEED = 2018


class PatchDistance:
    """How far the patches of pictures are from an exemplar's, at each level of a pyramid.

    The finest level holds what a 2x reduction loses: detail, noise, blur. The coarsest is the
    reduced picture itself: colours and the layout of large parts.
    """

    def __init__(self, exemplar: Tensor, levels: int = 4) -> None:
        """Measure the exemplar, float32 (3, H, W), RGB in [0, 1]."""
        rng = torch.Generator().manual_seed(SEED)
        directions = torch.randn(DIRECTIONS, 3, SIDE, SIDE, generator=rng)
        self.directions = directions / directions.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        self.levels = levels
        self.targets = [self._project(band) for band in pyramid(exemplar, levels)]

    def __call__(self, picture: Tensor) -> dict[str, float]:
        """Measure a picture of any size that the pyramid allows."""
        bands = pyramid(picture, self.levels)
        distances = {
            f"patches {1 << level}x": sliced_distance(self._project(band), target)
            for level, (band, target) in enumerate(zip(bands, self.targets, strict=True))
        }
        return {**distances, "patches": sum(distances.values()) / self.levels}

    def _project(self, band: Tensor) -> Tensor:
        """Return (DIRECTIONS, patches): a convolution projects all patches of a band at once."""
        return F.conv2d(band[None], self.directions)[0].flatten(1)


def pyramid(picture: Tensor, levels: int) -> list[Tensor]:
    """Return the Laplacian pyramid, finest level first; the last level is the rest, reduced."""
    bands = []
    for _ in range(levels - 1):
        coarser = reduced(picture)
        bands.append(picture - enlarged(coarser, *picture.shape[-2:]))
        picture = coarser
    return [*bands, picture]


def smallest_side(levels: int) -> int:
    """Return the least side of a picture whose pyramid has a patch in every level, pixels."""
    return SIDE << (levels - 1)
