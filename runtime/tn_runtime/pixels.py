"""The types of picture arrays, and conversions between them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 (height, width, 3), RGB in sRGB; with a leading axis where there are several."""
Samples = NDArray[Any]
"""uint8 or uint16, (rows, width, channels) or (rows, width)."""


def from_unit(values: NDArray[np.floating[Any]]) -> Pixels:
    """Convert floats in [0, 1], of any shape, to uint8; values beyond are clipped."""
    levels: Pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return levels


def to_8_bits(samples: Samples) -> Pixels:
    """Round uint16 to uint8; uint8 is returned as it is."""
    if samples.dtype.itemsize == 1:
        return samples
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def straight(colors: Samples, alpha: Samples) -> Samples:
    """Divide colours (rows, width, C) by alpha (rows, width); under alpha 0 they stay."""
    largest = np.iinfo(colors.dtype).max
    divisor = np.where(alpha == 0, largest, alpha).astype(np.float64)
    quotient = np.rint(colors * (largest / divisor)[..., None])
    return quotient.clip(0, largest).astype(colors.dtype)
