"""Instance normalisation of windows: every tile of a picture can be given the same statistics.

y = (x - mean) / sqrt(variance + eps) * weight + bias, mean and variance over the pixels of each
picture and channel, in training and afterwards (Ulyanov et al. 2016, arXiv 1607.08022, equation 4).
"""

import torch
from torch import Tensor, nn

EPS = 1e-5
"""The authors' InstanceNormalization.lua."""


class Statistics:
    """Mean and variance of the normalised channels of a network, given or measured as it runs."""

    def __init__(self, given: Tensor | None = None) -> None:
        """Take what is given, if it is.

        Args:
            given: float32 (C, 2), of all C channels in the order of computation, shared by all
                pictures; None to measure each picture's own.
        """
        self.given = given
        self.used: list[Tensor] = []
        """Of each norm so far, (N, c, 2)."""

    def of(self, window: Tensor) -> Tensor:
        """Return the statistics of the next norm, (N, c, 2), for its window (N, c, H, W)."""
        pictures, channels = window.shape[:2]
        if self.given is None:
            variance, mean = torch.var_mean(window, dim=(2, 3), correction=0)
            statistics = torch.stack([mean, variance], dim=2)
        else:
            done = sum(each.shape[1] for each in self.used)
            statistics = self.given[done : done + channels].expand(pictures, -1, -1)
        self.used.append(statistics)
        return statistics

    def all(self) -> Tensor:
        """Return the statistics of all norms, float32 (N, C, 2)."""
        return torch.cat(self.used, dim=1)


class InstanceNorm(nn.Module):
    """Normalise by the statistics of the window, the halo around it excluded; in fp32.

    The window is that of the network, whole strides.
    """

    def __init__(self, channels: int, margin: int) -> None:
        """Build the norm for inputs with so many pixels per side around the window."""
        super().__init__()
        self.channels = channels
        self.margin = margin
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """Return the same shape, float32, of (N, C, H, W) of any floating type."""
        x = x.float()
        margin = self.margin
        window = x[..., margin:-margin, margin:-margin] if margin else x
        mean, variance = statistics.of(window).unbind(2)
        scale = self.weight * torch.rsqrt(variance + EPS)  # (N, C)
        shift = self.bias - mean * scale
        return x * scale[..., None, None] + shift[..., None, None]
