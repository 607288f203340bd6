"""Instance normalisation of windows: every tile of a picture can be given the same statistics.

y = (x - mean) / sqrt(variance + eps) * weight + bias, mean and variance over the pixels of each
picture and channel, in training and afterwards (Ulyanov et al. 2016, arXiv 1607.08022, equation 4).
"""

import torch
from torch import Tensor, nn

EPS = 1e-5
"""The authors' InstanceNormalization.lua."""


class Statistics:
    """Mean and variance of normalised channels, on their way through a network."""

    def __init__(self, given: Tensor | None = None) -> None:
        """Take what is given, if it is.

        Args:
            given: float32 (M, C, 2), of all C channels in the order of computation; M is the number
                of pictures, or 0 for what the pictures themselves have.
        """
        self.given = given
        self.measured: list[Tensor] = []

    def chosen(self, measured: Tensor) -> Tensor:
        """Return the statistics to use in place of (N, c, 2) of the next c channels."""
        done = sum(each.shape[1] for each in self.measured)
        self.measured.append(measured)
        if self.given is None:
            return measured
        pictures, channels, _ = measured.shape
        return torch.cat([self.given[:, done : done + channels], measured])[:pictures]

    def all(self) -> Tensor:
        """Return what was measured, float32 (N, C, 2)."""
        return torch.cat(self.measured, dim=1)


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
        variance, mean = torch.var_mean(window, dim=(2, 3), correction=0)
        mean, variance = statistics.chosen(torch.stack([mean, variance], dim=2)).unbind(2)
        scale = self.weight * torch.rsqrt(variance + EPS)  # (N, C)
        shift = self.bias - mean * scale
        return x * scale[..., None, None] + shift[..., None, None]
