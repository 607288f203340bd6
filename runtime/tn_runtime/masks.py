"""Masks: grey pictures that say where in a photo each style is painted."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tn_runtime.errors import RequestError
from tn_runtime.pictures import Picture, RowBuffer, RowSource, resampled
from tn_runtime.pixels import Pixels

Masks = Mapping[str, Picture]
"""By the name of the style: white where it is painted, black or transparent where it is not."""

BILINEAR = Image.Resampling.BILINEAR
"""Makes no value that lies beyond those of the mask; other kernels make ripples beside edges."""

GREY = 16
"""Levels of 255 by which the channels of a grey pixel may differ."""

CHECKED = 256
"""Rows that are checked at once."""

Size = tuple[int, int]
"""(height, width), pixels."""


def check_grey(style: str, mask: Picture) -> None:
    """Refuse a mask with colours.

    Raises:
        RequestError: it has some.
    """
    limit = GREY * (np.iinfo(mask.colors(0, 1).dtype).max // 255)
    for top in range(0, mask.height, CHECKED):
        if np.ptp(mask.colors(top, min(top + CHECKED, mask.height)), axis=2).max() > limit:
            raise RequestError(
                f"the mask of {style!r} has colours; a mask is grey: white where the style is "
                "painted, black where it is not"
            )


def check_shapes(masks: Masks, size: Size) -> None:
    """Refuse masks that would have to be stretched to fit a photo.

    Raises:
        RequestError: one would.
    """
    height, width = size
    for style, mask in masks.items():
        wider = (mask.width - 1) * (height - 1) > (width + 1) * (mask.height + 1)
        narrower = (width - 1) * (mask.height - 1) > (mask.width + 1) * (height + 1)
        if wider or narrower:
            raise RequestError(
                f"the mask of {style!r} is {mask.width}x{mask.height}, the photo {width}x{height}: "
                "a mask may have another size, not another shape"
            )


class Regions:
    """Paintings of one photo mixed by masks, from top to bottom."""

    def __init__(self, masks: Sequence[Picture], size: Size) -> None:
        """Take the masks, each resized to the photo's size."""
        self._masks = [_levels(mask, size) for mask in masks]

    def mixed(self, paintings: Sequence[Pixels], top: int) -> Pixels:
        """Return rows of the mixed picture, uint8 (rows, W, 3).

        Args:
            paintings: rows, uint8 (rows, W, 3): the first is seen where no mask is white, each
                other one where its mask is; where masks add up to more than white, each has its
                part.
            top: the first row.
        """
        if not self._masks:
            return paintings[0]
        bottom = top + len(paintings[0])
        masks = [levels(top, bottom) for levels in self._masks]
        total = np.sum(masks, axis=0)
        shares = [np.maximum(1 - total, 0), *(mask / np.maximum(total, 1) for mask in masks)]
        mixed = np.zeros(paintings[0].shape, np.float32)
        for share, painting in zip(shares, paintings, strict=True):
            mixed += share[..., None] * painting
        return np.rint(mixed).astype(np.uint8)


def _levels(mask: Picture, size: Size) -> RowSource:
    """Return the rows of a mask, float32 (rows, W) in [0, 1], to be asked for downwards."""

    def own(top: int, bottom: int) -> NDArray[np.float32]:
        grey, alpha = mask.colors(top, bottom)[..., 0], mask.alpha(top, bottom)
        white = np.iinfo(grey.dtype).max
        return (grey / white * (alpha / white)).astype(np.float32)

    own_size = mask.height, mask.width
    return own if own_size == size else RowBuffer(resampled(own, own_size, size, BILINEAR))
