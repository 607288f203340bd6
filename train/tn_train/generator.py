"""The generator of the paper: noise at K scales in, a picture out (Ulyanov et al. 2016, 3.1).

All convolutions are *valid*: the noise comes with a halo and the picture has none. Fed with noise
wrapped around its edges this equals the paper's circular convolutions; fed with a window of an
endless noise plane it makes that window of an endless texture. One network serves both.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tn_train.config import GeneratorConfig

SLOPE = 0.01
"""Of LeakyReLU: the default of Torch7's `nn.LeakyReLU`, which the authors' pyramid.lua uses."""

BLOCK_MARGIN = 2
"""Pixels per side that the two 3x3 convolutions of a block consume."""


class ConvBlock(nn.Sequential):
    """3x3, 3x3, 1x1 convolutions, each with BatchNorm and LeakyReLU; H and W shrink by 4."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        modules: list[nn.Module] = []
        for kernel in (3, 3, 1):
            modules += [
                nn.Conv2d(in_channels, out_channels, kernel),
                nn.BatchNorm2d(out_channels),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
            in_channels = out_channels
        super().__init__(*modules)


class Join(nn.Module):
    """Concatenate the upsampled coarser result and this level's noise branch; a block on top."""

    def __init__(self, coarse: int, branch: int, width: int, *, norm: bool) -> None:
        super().__init__()
        self.coarse_norm = nn.BatchNorm2d(coarse) if norm else nn.Identity()
        self.branch_norm = nn.BatchNorm2d(branch) if norm else nn.Identity()
        self.block = ConvBlock(coarse + branch, width)

    def forward(self, coarse: Tensor, branch: Tensor) -> Tensor:
        """Join (N, C, H, W) of both branches into (N, width, H - 4, W - 4)."""
        joined = torch.cat([self.coarse_norm(coarse), self.branch_norm(branch)], dim=1)
        return self.block(joined)  # type: ignore[no-any-return]  # nn.Module calls are untyped


class Generator(nn.Module):
    """Noise (finest level first) to pictures, RGB, nominally in [0, 1], unclamped."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.halos, self.crops = halos(config.levels)
        widths = config.widths
        self.branches = nn.ModuleList(
            ConvBlock(config.noise_channels, config.branch) for _ in widths[:-1]
        )
        self.coarsest = ConvBlock(config.noise_channels, widths[-1])
        self.joins = nn.ModuleList(
            Join(coarse, config.branch, width, norm=config.join_norm)
            for width, coarse in itertools.pairwise(widths)
        )
        self.to_rgb = nn.Conv2d(widths[0], 3, 1)

    def forward(self, *noise: Tensor) -> Tensor:
        """Make the window that the noise surrounds.

        Args:
            noise: level k is float32 (N, noise_channels, h / 2^k + 2 halo_k, w / 2^k + 2 halo_k),
                in [0, 1); h and w are multiples of the stride.

        Returns:
            float32 (N, 3, h, w).
        """
        x = self.coarsest(noise[-1])
        for level in reversed(range(self.config.levels - 1)):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            if crop := self.crops[level]:
                x = x[..., crop:-crop, crop:-crop]
            x = self.joins[level](x, self.branches[level](noise[level]))
        return self.to_rgb(x)  # type: ignore[no-any-return]

    def noise_shapes(self, batch: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Return the shapes of the noise for a window whose sides are multiples of the stride."""
        return [
            (
                batch,
                self.config.noise_channels,
                height // 2**level + 2 * halo,
                width // 2**level + 2 * halo,
            )
            for level, halo in enumerate(self.halos)
        ]

    @property
    def parameter_count(self) -> int:
        """Trained numbers: weights, biases and the affine part of BatchNorm."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def halo(self) -> int:
        """Pixels of the picture on each side whose noise decides about a pixel."""
        return max(halo << level for level, halo in enumerate(self.halos))


def halos(levels: int) -> tuple[list[int], list[int]]:
    """Return the noise halo of each level and the crop after each upsampling, finest level first.

    From fine to coarse: a block needs its output plus 2 pixels; the coarser result under it needs
    half of that, rounded up, and what rounding added is cropped. K = 5: [4, 5, 6, 6, 4].
    """
    noise, crops = [], []
    margin = 0  # beyond the window, in pixels of this level, of the level's result
    for _ in range(levels - 1):
        joined = margin + BLOCK_MARGIN
        noise.append(joined + BLOCK_MARGIN)
        margin = (joined + 1) // 2
        crops.append(2 * margin - joined)
    noise.append(margin + BLOCK_MARGIN)
    return noise, crops
