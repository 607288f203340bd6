"""The light on a photo: how much it changes across it, and the photo without that change.

A photo of a wall is brighter where the lamp is. A texture of it has no place for that: the change
would return as blotches. The slow change is a quadratic surface, fitted to the logarithm of the
luminance in linear light, so that dividing it out leaves colours and contrasts as they are.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS = 16
"""Blocks along each side of a picture whose mean luminance is fitted."""
FLOOR = 1e-3
"""Least linear luminance that is told from black."""
UNEVEN = 1.3
"""Ratio of the brightest to the darkest light across a photo from which on it shows."""
EXPLAINED = 0.5
"""Least share of the surface in the variance of the blocks: what is no slow change is texture."""
WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Weights of linear R, G and B in the luminance (ITU-R BT.709)."""


def unevenness(exemplar: Tensor) -> float:
    """Return the ratio of the brightest to the darkest light across a picture, 1 if it is even.

    Args:
        exemplar: float32 (1, 3, H, W), sRGB in [0, 1].
    """
    blocks = _blocks(exemplar)
    surface = _surface(blocks, *blocks.shape)
    share = 1 - (blocks - surface).var() / blocks.var().clamp(min=1e-12)
    if share < EXPLAINED:
        return 1.0
    return math.exp((surface.max() - surface.min()).item())


def evened(exemplar: Tensor) -> Tensor:
    """Return the picture in the light that is its mean everywhere.

    Args:
        exemplar: float32 (1, 3, H, W), sRGB in [0, 1].

    Returns:
        The same; colours that would be brighter than white are white.
    """
    light = _surface(_blocks(exemplar), *exemplar.shape[-2:])
    return _encoded(_linear(exemplar) * (light.mean() - light).exp().float()).clamp(0, 1)


def _blocks(exemplar: Tensor) -> Tensor:
    """Return the logarithm of the mean luminance of each block, float64 (h, w)."""
    weights = torch.tensor(WEIGHTS, device=exemplar.device).view(1, 3, 1, 1)
    luminance = (_linear(exemplar) * weights).sum(dim=1, keepdim=True)
    height, width = (min(BLOCKS, side) for side in exemplar.shape[-2:])
    means = F.adaptive_avg_pool2d(luminance, (height, width))[0, 0]
    return means.double().clamp(min=FLOOR).log()


def _surface(blocks: Tensor, height: int, width: int) -> Tensor:
    """Return the quadratic surface nearest to blocks, at the pixels of a picture of that size."""
    solution: Tensor = torch.linalg.lstsq(_powers(*blocks.shape), blocks.flatten().cpu()).solution
    surface = (_powers(height, width) @ solution).view(height, width)
    return surface.to(blocks.device)


def _powers(height: int, width: int) -> Tensor:
    """Return 1, y, x, y^2, x y, x^2 at the centres of a grid on [-1, 1], float64 (h w, 6)."""
    y, x = (
        (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1 for side in (height, width)
    )
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    terms = (torch.ones_like(rows), rows, columns, rows**2, rows * columns, columns**2)
    return torch.stack(terms, dim=-1).flatten(0, 1)


def _linear(srgb: Tensor) -> Tensor:
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Tensor) -> Tensor:
    dark, bright = 12.92 * linear, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, dark, bright)
