"""The picture that is renewed while a run goes: the exemplar, samples beside it."""

from pathlib import Path

import numpy as np
from torch import Tensor

from tn_runtime.pictures import Rows, save
from tn_runtime.pixels import Pixels

GAP = 8
"""Pixels between the pictures."""


def write_preview(path: Path, exemplar: Tensor, samples: Tensor) -> None:
    """Write the exemplar, then samples beside it, as a PNG.

    Args:
        path: of the file, which appears whole.
        exemplar: float32 (1, 3, H, W), RGB in [0, 1].
        samples: float32 (N, 3, h, w), the same.
    """
    pictures = [_pixels(picture) for picture in (*exemplar, *samples)]
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] + GAP for picture in pictures) - GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    x = 0
    for picture in pictures:
        sheet[: picture.shape[0], x : x + picture.shape[1]] = picture
        x += picture.shape[1] + GAP
    save(path, Rows.of_array(sheet))


def _pixels(picture: Tensor) -> Pixels:
    """Turn float32 (3, H, W) in [0, 1] into uint8 (H, W, 3)."""
    return (picture.cpu().permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
