"""Convolution with a frozen 3x3 kernel in a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308, section
4.3. Each tile of 4x4 outputs is computed from 6x6 inputs: V = B^T d B, M = V U at each of the 36
points, Y = A^T M A; U = G g G^T is the kernel, transformed once. A transform of all tiles is one
matrix product with the Kronecker product of its matrix with itself. Strips of tiles keep what is
computed in the processor's cache.

PyTorch asks oneDNN for direct convolution only. With 128 channels and more this is 1.7 to 2.3 times
as fast on a processor whose matrix product is as fast as its direct convolution.
"""

from typing import Any

import torch
from torch import Tensor, nn

OUT = 4
"""Side of the tiles of outputs, pixels."""
IN = 6
"""Side of the tiles of inputs: `OUT` + 2."""
STRIP = 128
"""Tiles computed at a time: enough for a matrix product, few enough for a cache."""

B_T = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
A_T = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class WinogradConv(nn.Module):
    """A frozen 3x3 convolution with the border repeated, its bias and ReLU."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Transform the kernel, float32 (O, I, 3, 3), for the forward and the backward pass."""
        super().__init__()
        self.bias = nn.Buffer(bias.detach().clone())
        self.forward_kernel = nn.Buffer(_transformed(weight))  # (36, I, O)
        self.backward_kernel = nn.Buffer(_transformed(weight.flip(2, 3).transpose(0, 1)))
        self.inputs = nn.Buffer(_squared(B_T))  # (36, 36)
        self.outputs = nn.Buffer(_squared(A_T))  # (16, 36)

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 (N, O, H, W), channels_last, of float32 (N, I, H, W)."""
        return _Convolution.apply(x, self)  # type: ignore[no-untyped-call, no-any-return]

    def convolve(self, padded: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Return the valid convolution of channels-last pictures, with bias and ReLU if given.

        Args:
            padded: float32 (N, H + 2, W + 2, I), contiguous; H and W are multiples of `OUT`.
            kernel: (36, I, O), transformed.
            bias: (O), or None for neither bias nor ReLU.

        Returns:
            float32 (N, H, W, O), contiguous.
        """
        n, height, width, channels = padded.shape
        rows, columns = height // OUT, width // OUT
        out = padded.new_empty(n, rows * OUT, columns * OUT, kernel.shape[2])
        step = max(1, STRIP // (n * columns))
        picture, line, pixel, _ = padded.stride()
        for first in range(0, rows, step):
            count = min(step, rows - first)
            tiles = padded[:, first * OUT :].as_strided(
                (IN, IN, n, count, columns, channels),
                (line, pixel, picture, OUT * line, OUT * pixel, 1),
            )
            points = (self.inputs @ tiles.reshape(IN * IN, -1)).view(IN * IN, -1, channels)
            strip = self.outputs @ torch.bmm(points, kernel).view(IN * IN, -1)
            # (4, 4, N, rows, columns, O) -> (N, rows, 4, columns, 4, O)
            strip = strip.view(OUT, OUT, n, count, columns, -1).permute(2, 3, 0, 4, 1, 5)
            place = out[:, first * OUT : (first + count) * OUT].view(strip.shape)
            if bias is None:
                place.copy_(strip)
            else:
                torch.add(strip, bias, out=place).relu_()
        return out


class _Convolution(torch.autograd.Function):
    """The frozen convolution and its gradient with respect to the pictures."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: WinogradConv) -> Tensor:  # noqa: ANN401 - torch's own
        height, width = x.shape[2:]
        padded = _border_repeated(x.permute(0, 2, 3, 1), -height % OUT, -width % OUT)
        y = layer.convolve(padded, layer.forward_kernel, layer.bias)
        y = y[:, :height, :width].permute(0, 3, 1, 2)
        ctx.layer = layer
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (gradient,) = gradients
        (y,) = ctx.saved_tensors
        layer: WinogradConv = ctx.layer
        height, width = y.shape[2:]
        # The gradient of the padded input is two pixels larger, and needs two more around it.
        sides = (side + 2 + -(side + 2) % OUT + 2 for side in (height, width))
        wide = gradient.new_zeros(len(y), *sides, y.shape[1])
        inner = wide[:, 2 : height + 2, 2 : width + 2].permute(0, 3, 1, 2)
        torch.mul(gradient, y > 0, out=inner)
        padded = layer.convolve(wide, layer.backward_kernel, None)
        return _border_folded(padded[:, : height + 2, : width + 2]).permute(0, 3, 1, 2), None


def _transformed(weight: Tensor) -> Tensor:
    """Return U = G g G^T of kernels (O, I, 3, 3), float32 (36, I, O); computed in float64."""
    g = torch.tensor(G, dtype=torch.float64, device=weight.device)
    points = torch.einsum("ai,ocij,bj->abco", g, weight.double(), g)
    return points.flatten(0, 1).float().contiguous()


def _squared(matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return what transforms tiles row by row and column by column at once."""
    rows = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(rows, rows)


def _border_repeated(x: Tensor, bottom: int, right: int) -> Tensor:
    """Return (N, H, W, C) with a pixel more on each side, and whole tiles, the border repeated."""
    n, height, width, channels = x.shape
    padded = x.new_empty(n, height + 2 + bottom, width + 2 + right, channels)
    middle = padded[:, 1 : height + 1]
    middle[:, :, 1 : width + 1] = x
    middle[:, :, :1] = x[:, :, :1]
    middle[:, :, width + 1 :] = x[:, :, -1:]
    padded[:, :1] = padded[:, 1:2]
    padded[:, height + 1 :] = padded[:, height : height + 1]
    return padded


def _border_folded(gradient: Tensor) -> Tensor:
    """Return the gradient of pictures from that of pictures with the border repeated by a pixel."""
    gradient[:, 1] += gradient[:, 0]
    gradient[:, -2] += gradient[:, -1]
    gradient = gradient[:, 1:-1]
    gradient[:, :, 1] += gradient[:, :, 0]
    gradient[:, :, -2] += gradient[:, :, -1]
    return gradient[:, :, 1:-1]
