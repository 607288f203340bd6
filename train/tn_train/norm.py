"""Instance normalisation of windows: every tile of a picture can be given the same statistics.

y = (x - mean) / sqrt(variance + eps) * weight + bias, mean and variance over the pixels of each
picture and channel, in training and afterwards (Ulyanov et al. 2016, arXiv 1607.08022, equation 4).
Several styles share the network and have a weight and a bias each, which can be blended (Dumoulin
et al. 2017, arXiv 1610.07629, equation 5).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

EPS = 1e-5
"""The authors' InstanceNormalization.lua."""


class Condition:
    """What the norms of a network are told for one run, and what they measure in it."""

    def __init__(self, style: Tensor | None = None, given: Tensor | None = None) -> None:
        """Take a style and statistics, where they are given.

        Args:
            style: float32 (N, S), the share of each of the S styles for each picture; None blends
                all styles alike.
            given: float32 (C, 2), mean and variance of all C normalised channels in the order of
                computation, shared by all pictures; None to measure each picture's own.
        """
        self.style = style
        self.given = given
        self.used: list[Tensor] = []
        """Statistics of each norm so far, (N, c, 2)."""

    def blend(self, parameters: Tensor) -> Tensor:
        """Return a norm's weight or bias for each picture, (N, c) or (1, c), of those (S, c)."""
        if self.style is None:
            return parameters.mean(0, keepdim=True)
        # Autocast would round a matrix product to bf16.
        return (self.style[..., None] * parameters).sum(1)

    def statistics(self, window: Tensor) -> Tensor:
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

    def __init__(self, channels: int, margin: int, styles: int) -> None:
        """Build the norm for inputs with so many pixels per side around the window."""
        super().__init__()
        self.channels = channels
        self.margin = margin
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Return the same shape, float32, of (N, C, H, W) of any floating type."""
        x = x.float()
        margin = self.margin
        weight, bias = condition.blend(self.weight), condition.blend(self.bias)
        if self.training:
            shape = len(x), self.channels
            return _Normalization.apply(  # type: ignore[no-untyped-call, no-any-return]
                x, weight.expand(shape), bias.expand(shape), margin
            )
        window = _inside(x, margin)
        mean, variance = condition.statistics(window).unbind(2)
        scale = weight * torch.rsqrt(variance + EPS)  # (N, C)
        shift = bias - mean * scale
        return x * scale[..., None, None] + shift[..., None, None]


class _Normalization(torch.autograd.Function):
    """The same by PyTorch's kernels of batch normalisation, picture by picture.

    They read the memory once where single operations read it five times: with its gradient, the
    norm takes 0.4 of the time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, margin: int) -> Tensor:  # noqa: ANN401 - torch's own
        normed, ctx.statistics = [], []
        for picture, own_weight, own_bias in zip(torch.split(x, 1), weight, bias, strict=True):
            window = _inside(picture, margin)
            _, mean, inverse = torch.native_batch_norm(
                window, None, None, None, None, training=True, momentum=0.0, eps=EPS
            )
            variance = inverse**-2 - EPS
            y, _, _ = torch.native_batch_norm(
                picture, own_weight, own_bias, mean, variance, training=False, momentum=0.0, eps=EPS
            )
            normed.append(y)
            ctx.statistics.append((mean, variance, inverse))
        ctx.margin = margin
        ctx.save_for_backward(x, weight)
        return _joined(normed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of x, weight and bias, both (N, C).

        With fixed statistics they are batch normalisation's. The statistics depend on the window:
        its pixels get the rest.
        """
        (above,) = gradients
        x, weight = ctx.saved_tensors
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        pictures = zip(
            torch.split(x, 1), torch.split(above, 1), weight, ctx.statistics, strict=True
        )
        for picture, gradient, own_weight, (mean, variance, inverse) in pictures:
            fixed, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
                gradient, picture, own_weight, mean, variance, None, None, False, EPS, [True] * 3
            )
            window = _inside(picture, ctx.margin)
            scale = own_weight * inverse / window[0, 0].numel()
            slope = -scale * inverse * of_weight
            offset = -scale * of_bias - slope * mean
            inner = _inside(fixed, ctx.margin)
            inner.addcmul_(window, slope[:, None, None]).add_(offset[:, None, None])
            parts.append((fixed, of_weight, of_bias))
        of_x, of_weights, of_biases = zip(*parts, strict=True)
        return _joined(of_x), torch.stack(of_weights), torch.stack(of_biases), None


def _inside(x: Tensor, margin: int) -> Tensor:
    return x[..., margin:-margin, margin:-margin] if margin else x


def _joined(pictures: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(pictures)) if len(pictures) > 1 else pictures[0]
