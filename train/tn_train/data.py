"""The exemplar: one picture, read, cropped and brought to the resolution of training."""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.errors import RequestError
from tn_runtime.pictures import decode, read, read_bytes
from tn_runtime.pixels import Pixels, to_8_bits
from tn_runtime.spec import Exemplar
from tn_train.config import Crop

SMALLEST = 4
"""Pixels per side of the deepest layer's features: fewer make no statistics."""


def read_exemplar(
    path: Path,
    *,
    size: int,
    crop: Crop | None = None,
    credit: str = "",
    license: str = "",  # noqa: A002 - the field's name
) -> tuple[Tensor, Exemplar]:
    """Read the picture to train from, any mode that Pillow reads.

    Args:
        path: of the picture.
        size: its longest side is brought down to this many pixels; a smaller one stays as it is.
        crop: the region to use, before that.
        credit: who made the picture, kept through to the model file.
        license: under which it is used, kept as well.

    Returns:
        float32 (1, 3, H, W), RGB in [0, 1], and the facts to keep.

    Raises:
        PictureError: it cannot be read as a picture.
        RequestError: the crop reaches beyond it.
    """
    data = read_bytes(path)
    pixels = decode(data, path).srgb()  # (H, W, 3)
    if crop:
        pixels = _cut(pixels, crop, path)
    pixels = _shrink(pixels, size)
    height, width, _ = pixels.shape
    tensor = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
    sha256 = hashlib.sha256(data).hexdigest()
    part = str(crop) if crop else ""
    return tensor.contiguous(), Exemplar(path.name, sha256, width, height, credit, license, part)


def has_transparency(path: Path, crop: Crop | None) -> bool:
    """Tell whether a pixel of the picture, or of the region, is not opaque."""
    picture = read(path)
    if not picture.has_alpha:
        return False
    values = to_8_bits(picture.alpha())
    if crop:
        values = values[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    return bool(values.min() < 255)


def check_depth(exemplar: Exemplar, stride: int) -> None:
    """Raise RequestError where the exemplar is too small for a descriptor of that stride."""
    least = SMALLEST * stride
    if min(exemplar.width, exemplar.height) < least:
        sides = exemplar.width, exemplar.height
        # The shorter side was rounded: it may have been half a pixel less.
        needed = math.ceil(least * max(sides) / (min(sides) - 0.5))
        raise RequestError(
            f"{exemplar.name} is {exemplar.width}x{exemplar.height} in training; its deepest "
            f"layer needs at least {least}x{least}: give --size {needed} (style: --style-size) if "
            "the picture is that large, a larger picture or more of it, or shallower --layers"
        )


def _cut(pixels: Pixels, crop: Crop, path: Path) -> Pixels:
    height, width, _ = pixels.shape
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise RequestError(f"crop {crop} reaches beyond {path.name}, which is {width}x{height}")
    return pixels[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]


def _shrink(pixels: Pixels, size: int) -> Pixels:
    height, width, _ = pixels.shape
    scale = size / max(height, width)
    if scale >= 1:
        return pixels
    small = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(small, Image.Resampling.LANCZOS))
