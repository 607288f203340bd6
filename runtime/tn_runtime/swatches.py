"""A small square picture of each model: what one chooses by."""

from pathlib import Path

import numpy as np

from tn_runtime.pictures import Picture, read
from tn_runtime.pixels import Pixels
from tn_runtime.session import Model
from tn_runtime.stylization import reduced, stylize
from tn_runtime.synthesis import synthesize

PHOTO = Path(__file__).parent / "data/raccoon.jpg"
"""The photo that styles are shown on, wider than high; its right part is the motif."""

SIDE = 256
"""Pixels."""


def swatch(model: Model) -> Pixels:
    """Return a window of a texture, or the photo in a style, uint8 (SIDE, SIDE, 3).

    Raises:
        ModelError: the model failed.
    """
    if model.spec.kind == "texture":
        return synthesize(model, (SIDE, SIDE))
    photo = read(PHOTO)
    square = np.ascontiguousarray(photo.srgb()[:, -photo.height :])
    painting = stylize(model, square, max_size=2 * SIDE)  # strokes have their size in pixels
    return reduced(Picture.from_array(painting), SIDE).srgb()
