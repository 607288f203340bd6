"""The generator of the paper: noise at K scales in, a picture out (Ulyanov et al. 2016, 3.1).

For stylisation the photo joins the noise at every scale (section 3.3). All convolutions are
*valid*: what comes in has a halo, and the picture has none. Fed with noise wrapped around its edges
this equals the paper's circular convolutions; fed with a window of an endless noise plane it makes
that window of an endless texture. One network serves both.
"""

import itertools
from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tn_train.config import GeneratorConfig
from tn_train.norm import Condition, InstanceNorm
from tn_train.waves import shown

FAINT = 0.3
"""Contrast of an untrained generator's pictures, relative to that of PyTorch's initial weights."""

BLOCK_MARGIN = 2
"""Pixels per side that the two 3x3 convolutions of a block consume."""


class ConvBlock(nn.Sequential):
    """3x3, 3x3, 1x1 convolutions, each with a norm and an activation; H and W shrink by 4."""

    def __init__(
        self, config: GeneratorConfig, in_channels: int, out_channels: int, margin: int
    ) -> None:
        """Build the block for an input with so many pixels per side around the window."""
        modules: list[nn.Module] = []
        for kernel in (3, 3, 1):
            margin -= kernel // 2
            modules += [
                nn.Conv2d(in_channels, out_channels, kernel),
                _norm(config, out_channels, margin),
                _activation(config),
            ]
            in_channels = out_channels
        super().__init__(*modules)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:  # type: ignore[override]
        """Return (N, out_channels, H - 4, W - 4) of (N, in_channels, H, W)."""
        for module in self:
            x = module(x, condition) if isinstance(module, InstanceNorm) else module(x)
        return x


class Join(nn.Module):
    """Concatenate the upsampled coarser result and this level's own branch; a block on top."""

    def __init__(self, config: GeneratorConfig, coarse: int, width: int, margin: int) -> None:
        """Build the join of branches with so many pixels per side around the window."""
        super().__init__()
        branch, normed = config.branch, config.join_norm
        self.coarse_norm = _norm(config, coarse, margin) if normed else nn.Identity()
        self.branch_norm = _norm(config, branch, margin) if normed else nn.Identity()
        self.block = ConvBlock(config, coarse + branch, width, margin)

    def forward(self, coarse: Tensor, branch: Tensor, condition: Condition) -> Tensor:
        """Join (N, C, H, W) of both branches into (N, width, H - 4, W - 4)."""
        normed = [
            norm(x, condition) if isinstance(norm, InstanceNorm) else norm(x)
            for norm, x in ((self.coarse_norm, coarse), (self.branch_norm, branch))
        ]
        joined = torch.cat(normed, dim=1)
        return self.block(joined, condition)  # type: ignore[no-any-return]  # untyped


class Generator(nn.Module):
    """Noise, photo, or both, finest level first, to pictures: RGB, nominally in [0, 1]."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.halos, self.crops = halos(config.levels, config.smooth)
        widths = config.widths
        *finer, coarsest = self.halos
        self.branches = nn.ModuleList(
            _entrance(config, level, config.branch, halo) for level, halo in enumerate(finer)
        )
        self.coarsest = _entrance(config, config.levels - 1, widths[-1], coarsest)
        self.joins = nn.ModuleList(
            Join(config, coarse, width, margin=halo - BLOCK_MARGIN)
            for (width, coarse), halo in zip(itertools.pairwise(widths), finer, strict=True)
        )
        self.to_rgb = nn.Conv2d(widths[0], 3, 1)
        if config.fine:
            self.coarse_to_rgb = nn.Conv2d(widths[1], 3, 1)
            for module in self.fixed:
                module.requires_grad_(requires_grad=False)
        with torch.no_grad():
            # Faint grey pictures to begin with: PyTorch's own weights make colours far beyond the
            # range, and the first steps of a run would go into coming back.
            self.to_rgb.weight.mul_(FAINT)
            self.to_rgb.bias.fill_(0.5)  # type: ignore[union-attr]  # it has one

    @property
    def fixed(self) -> list[nn.Module]:
        """The parts that are no longer trained."""
        if not self.config.fine:
            return []
        return [self.coarsest, *self.branches[1:], *self.joins[1:], self.coarse_to_rgb]

    def train(self, mode: bool = True) -> Self:
        """Do as torch does, and leave the fixed parts in evaluation mode."""
        super().train(mode)
        for module in self.fixed:
            module.eval()
        return self

    def forward(self, *pyramid: Tensor, style: Tensor | None = None) -> Tensor:
        """Make the window that the pyramid surrounds.

        Args:
            pyramid: level k is float32 (N, C, h / 2^k + 2 halo_k, w / 2^k + 2 halo_k); h and w are
                multiples of the stride. The C channels are those of the photo, where the generator
                takes one, RGB in [0, 1]; of noise in [0, 1); and of the waves, where the level has
                them, in [-1, 1].
            style: float32 (N, S), the share of each of the S styles for each picture; all alike if
                it is not given.

        Returns:
            float32 (N, 3, h, w), unclamped.
        """
        return self.run(pyramid, Condition(style))

    def run(self, pyramid: Sequence[Tensor], condition: Condition) -> Tensor:
        """Do as `forward`, with what instance normalisation is told."""
        return self.to_rgb(self._features(pyramid, condition))  # type: ignore[no-any-return]

    def refined(self, pyramid: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Do as `forward`, and show the same window without the finest level.

        Returns:
            float32 (N, 3, h, w) and (N, 3, h / 2, w / 2), unclamped.
        """
        condition = Condition(None)
        x = self._features(pyramid[1:], condition, finest=1)
        margin = (BLOCK_MARGIN + self.crops[0]) // 2
        coarse = self.coarse_to_rgb(x[..., margin:-margin, margin:-margin])
        return self.to_rgb(self._joined(x, 0, pyramid[0], condition)), coarse

    def _features(self, pyramid: Sequence[Tensor], condition: Condition, finest: int = 0) -> Tensor:
        """Return what a level makes of the pyramid from that level on."""
        x = self.coarsest(pyramid[-1], condition)
        for level in reversed(range(finest, self.config.levels - 1)):
            x = self._joined(x, level, pyramid[level - finest], condition)
        return x  # type: ignore[no-any-return]

    def _joined(self, x: Tensor, level: int, z: Tensor, condition: Condition) -> Tensor:
        """Return what a level makes of the coarser result and its own input."""
        mode = "bilinear" if level < self.config.smooth else "nearest"
        x = F.interpolate(x, scale_factor=2, mode=mode)
        if crop := self.crops[level]:
            x = x[..., crop:-crop, crop:-crop]
        return self.joins[level](x, self.branches[level](z, condition), condition)  # type: ignore[no-any-return]

    def input_shapes(self, batch: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Return the shapes of the pyramid for a window whose sides are multiples of the stride."""
        return [
            (
                batch,
                self.config.input_channels(level),
                height // 2**level + 2 * halo,
                width // 2**level + 2 * halo,
            )
            for level, halo in enumerate(self.halos)
        ]

    @property
    def parameter_count(self) -> int:
        """Trained numbers: weights, biases and the affine part of norms."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def normalized_channels(self) -> int:
        """Channels of all instance norms together, 0 if there are none."""
        return sum(m.channels for m in self.modules() if isinstance(m, InstanceNorm))

    @property
    def halo(self) -> int:
        """Pixels of the picture on each side whose noise decides about a pixel of whole strides."""
        return max(halo << level for level, halo in enumerate(self.halos))


def _entrance(config: GeneratorConfig, level: int, out_channels: int, margin: int) -> ConvBlock:
    """Return the block of a level's own input.

    The weights of the waves that the level does not see are zero. Training feeds zeros in their
    place, so these weights stay zero, and a program may feed the waves to all levels.
    """
    channels = config.input_channels(level)
    block = ConvBlock(config, channels, out_channels, margin)
    if config.waves and level >= config.wave_level:
        with torch.no_grad():
            weight, *_ = block.parameters()
            seen = torch.from_numpy(shown(config, level))
            weight[:, -len(seen) :] *= seen[:, None, None]
    return block


def _norm(config: GeneratorConfig, channels: int, margin: int) -> nn.Module:
    if config.norm == "instance":
        return InstanceNorm(channels, margin, config.styles)
    return nn.BatchNorm2d(channels)


def _activation(config: GeneratorConfig) -> nn.Module:
    return nn.LeakyReLU(config.slope, inplace=True) if config.slope else nn.ReLU(inplace=True)


def halos(levels: int, smooth: int = 0) -> tuple[list[int], list[int]]:
    """Return the noise halo of each level and the crop after each upsampling, finest level first.

    From fine to coarse: a block needs its output plus 2 pixels; the coarser result under it needs
    half of that, rounded up, and what rounding added is cropped. K = 5: [4, 5, 6, 6, 4]. The
    finest `smooth` levels need one pixel more, because linear interpolation looks further.
    """
    noise, crops = [], []
    margin = 0  # beyond the window, in pixels of this level, of the level's result
    for level in range(levels - 1):
        joined = margin + BLOCK_MARGIN
        noise.append(joined + BLOCK_MARGIN)
        margin = (joined + 1 + (level < smooth)) // 2
        crops.append(2 * margin - joined)
    noise.append(margin + BLOCK_MARGIN)
    return noise, crops
