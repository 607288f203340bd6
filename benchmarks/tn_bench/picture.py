"""Pictures as the measures take them: float32 (3, H, W), RGB in [0, 1], on the CPU."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.pixels import Pixels, from_unit


def to_tensor(pixels: Pixels) -> Tensor:
    """Turn uint8 (H, W, 3) into float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1).contiguous()


def to_pixels(picture: Tensor) -> Pixels:
    """Turn float32 (3, H, W), clamped to [0, 1], into uint8 (H, W, 3)."""
    return from_unit(picture.cpu().permute(1, 2, 0).numpy())


def halves(picture: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return (top, bottom) and (left, right) of a picture (3, H, W), each pair of equal size."""
    _, height, width = picture.shape
    down, across = height // 2, width // 2
    return (
        (picture[:, :down], picture[:, -down:]),
        (picture[..., :across], picture[..., -across:]),
    )


def reduced(picture: Tensor) -> Tensor:
    """Return (3, H / 2, W / 2), rounded down, by a Lanczos filter, without rounding to 8 bits."""
    _, height, width = picture.shape
    return _resized(picture, height // 2, width // 2, Image.Resampling.LANCZOS)


def enlarged(picture: Tensor, height: int, width: int) -> Tensor:
    """Return (3, height, width) by a bicubic filter."""
    return _resized(picture, height, width, Image.Resampling.BICUBIC)


def _resized(picture: Tensor, height: int, width: int, resample: Image.Resampling) -> Tensor:
    channels = [
        np.asarray(Image.fromarray(channel).resize((width, height), resample))
        for channel in picture.contiguous().numpy()
    ]
    return torch.from_numpy(np.stack(channels))
