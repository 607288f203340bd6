"""Pictures made smaller or larger from top to bottom, in memory that does not grow with them."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RowSource = Callable[[int, int], NDArray[Any]]
"""Called with top and bottom, returns these rows of a picture: (bottom - top, W) or (..., W, C)."""

BAND = 64
"""RowSource that are resampled at once. It does not change with anything: each row is made once."""

LANCZOS, BICUBIC = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
LANCZOS_SUPPORT = 3
"""Pixels of the coarser grid on each side that the filter reaches."""


class RowBuffer:
    """RowSource of a picture that is made from top to bottom, kept until they are left behind.

    Each call may start no higher than the one before it.
    """

    def __init__(self, bands: Iterator[NDArray[Any]]) -> None:
        self._bands = bands
        self._kept: list[NDArray[Any]] = []
        self._top = 0

    def __call__(self, top: int, bottom: int) -> NDArray[Any]:
        """Return rows `top` to `bottom`."""
        end = self._top + sum(map(len, self._kept))
        while end < bottom:
            band = next(self._bands)
            self._kept.append(band)
            end += len(band)
        while self._top + len(self._kept[0]) <= top:
            self._top += len(self._kept.pop(0))
        return np.concatenate(self._kept)[top - self._top : bottom - self._top]


def resampled(
    rows: RowSource,
    size: tuple[int, int],
    new_size: tuple[int, int],
    kernel: Image.Resampling = LANCZOS,
) -> Iterator[NDArray[Any]]:
    """Resample a picture of `size` (height, width) to `new_size`, band by band.

    The kernel reaches no further than Lanczos'.

    Returns:
        Iterator of arrays of the dtype of `rows`, with rows that add up to the new height.
    """
    height = size[0]
    new_height, new_width = new_size
    scale = height / new_height
    reach = LANCZOS_SUPPORT * max(scale, 1) + 1
    for top in range(0, new_height, BAND):
        bottom = min(top + BAND, new_height)
        first = max(0, math.floor(top * scale - reach))
        last = min(height, math.ceil(bottom * scale + reach))
        span = (top * scale - first, min(bottom * scale, height) - first)
        yield resize(rows(first, last), (bottom - top, new_width), span, kernel)


def resize(
    rows: NDArray[Any],
    new_size: tuple[int, int],
    span: tuple[float, float],
    kernel: Image.Resampling,
) -> NDArray[Any]:
    """Resample the part from `span[0]` to `span[1]` of some rows; those around it are context.

    `rows` are uint8, uint16 or float32, (h, w) or (h, w, C).
    """
    (height, width), box = new_size, (0.0, span[0], float(rows.shape[1]), span[1])
    if rows.ndim == 3 and not (rows.dtype == np.uint8 and rows.shape[2] == 3):
        planes = [resize(rows[..., i], new_size, span, kernel) for i in range(rows.shape[2])]
        return np.stack(planes, axis=2)
    wide = rows if rows.dtype == np.uint8 else rows.astype(np.float32)  # Pillow's mode F
    made = np.asarray(Image.fromarray(wide).resize((width, height), kernel, box))
    if rows.dtype == np.uint16:
        made = np.rint(made).clip(0, 65535)
    return made.astype(rows.dtype, copy=False)
