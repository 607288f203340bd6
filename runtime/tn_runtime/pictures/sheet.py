"""Pictures put side by side and below one another, with white between them."""

from collections.abc import Sequence

import numpy as np

from tn_runtime.pixels import Pixels

GAP = 8
"""White pixels between two pictures."""
WHITE = 255


def side_by_side(pictures: Sequence[Pixels], width: int = 0) -> Pixels:
    """Return one picture, as high as the highest and, if it is given, `width` pixels wide.

    All are uint8 (height, width, 3); each begins at the top.
    """
    height = max(picture.shape[0] for picture in pictures)
    needed = sum(picture.shape[1] + GAP for picture in pictures) - GAP
    line = np.full((height, max(width, needed), 3), WHITE, np.uint8)
    left = 0
    for picture in pictures:
        line[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return line


def below_one_another(pictures: Sequence[Pixels]) -> Pixels:
    """Return one picture, as wide as the widest; each begins at the left."""
    turned = side_by_side([picture.swapaxes(0, 1) for picture in pictures])
    return np.ascontiguousarray(turned.swapaxes(0, 1))
