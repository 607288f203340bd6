"""A texture's plane as XYZ tiles, as map viewers ask for them.

Zoom 0 is 1:1. At zoom z a pixel is the average of 2^z x 2^z pixels of the plane. Tile (x, y) covers
the plane from pixel (x, y) * TILE * 2^z on; x and y have any sign, and y goes downwards.
"""

import numpy as np

from tn_runtime.pixels import Pixels
from tn_runtime.session import Model
from tn_runtime.synthesis import synthesize

TILE = 256
"""Pixels, the side of a tile."""
MAX_ZOOM = 3


def tile(model: Model, seed: int, zoom: int, x: int, y: int) -> Pixels:
    """Return a tile, uint8 (TILE, TILE, 3).

    Raises:
        RequestError: a seed or a place that cannot be served.
        ModelError: the model failed.
    """
    side = TILE << zoom
    return averaged(synthesize(model, (side, side), seed, (y * side, x * side)), 1 << zoom)


def averaged(pixels: Pixels, factor: int) -> Pixels:
    """Return the averages of squares of factor x factor pixels, rounded half up.

    Args:
        pixels: uint8 (H, W, 3); the factor divides H and W.
        factor: pixels.
    """
    height, width, channels = pixels.shape
    squares = pixels.reshape(height // factor, factor, width // factor, factor, channels)
    sums = squares.sum((1, 3), dtype=np.uint32)
    means: Pixels = ((sums + factor**2 // 2) // factor**2).astype(np.uint8)
    return means
