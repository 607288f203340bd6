"""A small painting brought back to the size of its photo, with the photo's own fine detail.

    painting = up(small) + up(slope) * (luma(photo) - up(luma(small photo)))

where `up` is bicubic and the detail goes into all channels alike, so that it brings none of the
photo's colours along; `slope` says how strongly the painting follows the photo around a pixel:
the regression of the painting's luma on the photo's, as in the guided filter (He, Sun and Tang
2013, equation 5), averaged over the windows that a pixel lies in (equation 8). They do not weigh
it by the squared correlation, and we do: an edge that was painted over has some slope by chance,
and would come back as a thin line beside the strokes. Where the painter kept an edge it becomes
sharp.
"""

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tn_runtime.pictures.resampling import BAND, BICUBIC, RowSource, resize
from tn_runtime.pixels import Pixels

Plane = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601: the Y of the YIQ in which Gatys et al. (2016) keep a photo's colours."""

RADIUS = 2
"""Pixels of the small picture: a window has 2 RADIUS + 1 of them a side."""
EPSILON = (0.03 * 255) ** 2
"""Squared levels: where the photo's luma varies by less than that, the slope goes to 0."""
MAX_SLOPE = 1.5
"""Slopes are cut to [0, MAX_SLOPE]: more would amplify the photo's noise, and below 0 the detail of
a brushstroke that happens to run against the photo would be its negative."""

CONTEXT = 2 * RADIUS + 4
"""RowSource of the small pictures beyond a band: two windows, the bicubic filter, and rounding."""


def with_detail(
    photo: RowSource,
    size: tuple[int, int],
    small_photo: RowSource,
    small: RowSource,
    small_size: tuple[int, int],
) -> Iterator[Pixels]:
    """Enlarge the stylised small picture to the photo's size.

    Args:
        photo: uint8 (rows, W, 3), sRGB.
        size: (H, W).
        small_photo: uint8 (rows, w, 3), the photo reduced, which was stylised.
        small: uint8 (rows, w, 3), what the model made of it.
        small_size: (h, w).

    Returns:
        Iterator of uint8 (rows, W, 3), sRGB; the rows add up to H.
    """
    height, width = size
    small_height = small_size[0]
    scale = small_height / height
    for top in range(0, height, BAND):
        bottom = min(top + BAND, height)
        first = max(0, int(top * scale) - CONTEXT)
        last = min(small_height, int(bottom * scale) + CONTEXT)
        before, after = small_photo(first, last), small(first, last)
        span = (top * scale - first, min(bottom * scale, small_height) - first)
        up = functools.partial(resize, new_size=(bottom - top, width), span=span, kernel=BICUBIC)
        lost = luma(photo(top, bottom)) - up(luma(before))
        kept = up(slope(before, after)).clip(0, MAX_SLOPE) * lost
        whole = up(after.astype(np.float32)) + kept[..., None]
        yield np.rint(whole).clip(0, 255).astype(np.uint8)


def slope(photo: Pixels, painting: Pixels) -> Plane:
    """Return how the painting's luma follows the photo's, float32 (h, w) in [0, MAX_SLOPE]."""
    guide, target = luma(photo), luma(painting)
    mean_guide, mean_target = box_mean(guide), box_mean(target)
    covariance = box_mean(guide * target) - mean_guide * mean_target
    variance = box_mean(guide * guide) - mean_guide * mean_guide
    target_variance = box_mean(target * target) - mean_target * mean_target
    correlation = covariance**2 / (variance * target_variance + 1)
    regression = (covariance / (variance + EPSILON)).clip(0, MAX_SLOPE)
    return box_mean(regression * correlation.clip(0, 1))


def luma(picture: Pixels) -> Plane:
    """Return the luma of uint8 (h, w, 3), float32 (h, w) in [0, 255]."""
    return picture.astype(np.float32) @ LUMA


def box_mean(values: Plane) -> Plane:
    """Return the mean over the window around each pixel; edge pixels are repeated beyond edges."""
    side = 2 * RADIUS + 1
    padded = np.pad(values, RADIUS, mode="edge")
    columns = np.lib.stride_tricks.sliding_window_view(padded, side, axis=1).mean(-1)
    means: Plane = np.lib.stride_tricks.sliding_window_view(columns, side, axis=0).mean(-1)
    return means
