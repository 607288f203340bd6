"""The photo as the generator sees it: mirrored around its edges, averaged down to every level.

The paper joins noise and "down-sampled copies" of the photo at each scale (section 3.3). Here, as
the network is *valid*, each copy comes with its halo; mirroring repeats the edge pixel, so that it
works for photos of one pixel, too.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tn_train.generator import Generator


def mirror(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at any coordinates, mirrored at the edges, of (N, C, H, W)."""
    height, width = pictures.shape[-2:]
    rows, columns = (each.to(pictures.device) for each in (rows, columns))
    return pictures[..., _mirrored(rows, height)[:, None], _mirrored(columns, width)]


def pyramid(
    generator: Generator, photos: Tensor, window: tuple[int, int, int, int] | None = None
) -> list[Tensor]:
    """Return the photos at every level of a generator, with its halos.

    Args:
        generator: says how many levels and what halos; it is not run.
        photos: float32 (N, 3, H, W), RGB in [0, 1].
        window: (y, x, height, width) within the photos or beyond, pixels; all of them without it.
            Height and width are multiples of the stride.

    Returns:
        Finest level first, float32 (N, 3, height / 2^k + 2 halo_k, width / 2^k + 2 halo_k).
    """
    y, x, height, width = window or (0, 0, *photos.shape[-2:])
    # The coarsest level reaches furthest, by whole strides: its halo in pixels serves all levels.
    margin = generator.halo
    rows = torch.arange(y - margin, y + height + margin)
    columns = torch.arange(x - margin, x + width + margin)
    level = mirror(photos, rows, columns)
    levels = []
    for halo in generator.halos:
        crop = margin - halo
        levels.append(level[..., crop : level.shape[-2] - crop, crop : level.shape[-1] - crop])
        level, margin = F.avg_pool2d(level, 2), margin // 2
    return levels


def with_noise(photos: Sequence[Tensor], noise: Sequence[Tensor]) -> list[Tensor]:
    """Join photo and noise, level by level: the photo's channels come first."""
    return [torch.cat(pair, dim=1) for pair in zip(photos, noise, strict=True)]


def _mirrored(index: Tensor, length: int) -> Tensor:
    index = index % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)
