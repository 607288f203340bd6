"""Pictures as they are read and as they are written: samples by rows, and what is said of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from tn_runtime.errors import PictureError
from tn_runtime.pictures import color
from tn_runtime.pictures.exif import Directory
from tn_runtime.pictures.metadata import About, described
from tn_runtime.pictures.store import Store
from tn_runtime.pixels import Pixels, Samples, to_8_bits

DEFAULT_QUALITY = 95


class Picture:
    """A decoded picture, upright, and what its file said about it."""

    height: int
    width: int
    """Pixels."""
    depth: int
    """8 or 16 bits a sample."""
    has_alpha: bool
    about: About

    def __init__(self, store: Store, about: About) -> None:
        """Take samples of 1 to 4 channels: grey or RGB, the second or fourth is alpha."""
        self._rows = store.rows
        self.height, self.width = store.height, store.width
        self.depth = 8 * store.rows(0, 1).dtype.itemsize
        self.has_alpha = store.channels in {2, 4}
        self.about = about
        self._transforms = color.transforms(about.profile)

    @classmethod
    def from_array(cls, array: Samples, about: About | None = None) -> Self:
        """Return a picture of uint8 or uint16 (H, W, 3), (H, W, 4) with alpha or (H, W), grey.

        The colours are sRGB, if `about` has no profile. The array is not copied.

        Raises:
            PictureError: another shape or dtype.
        """
        channels = {2: 1, 3: array.shape[-1]}.get(array.ndim)
        fits = channels in {3, 4} or array.ndim == 2
        if not fits or 0 in array.shape or array.dtype not in (np.uint8, np.uint16):
            raise PictureError(
                f"an array of {array.dtype} {array.shape} is no photo; "
                "give uint8 or uint16 of (H, W, 3), (H, W, 4) or (H, W)"
            )
        return cls(Store(array.reshape(*array.shape[:2], -1)), about or About())

    def colors(self, top: int = 0, bottom: int | None = None) -> Samples:
        """Return rows of the picture's own RGB, uint8 or uint16 (rows, W, 3), as stored.

        They are not multiplied with alpha.
        """
        rows = self._rows(top, self.height if bottom is None else bottom)
        if rows.shape[2] >= 3:
            return np.ascontiguousarray(rows[..., :3])
        return np.repeat(rows[..., :1], 3, axis=2)

    def srgb(self, top: int = 0, bottom: int | None = None) -> Pixels:
        """Return rows as uint8 (rows, W, 3), sRGB."""
        rgb = to_8_bits(self.colors(top, bottom))
        return rgb if self._transforms is None else color.converted(rgb, self._transforms[0])

    def alpha(self, top: int = 0, bottom: int | None = None) -> Samples:
        """Return rows of alpha, (rows, W) of the dtype of `colors`; its largest value is opaque."""
        rows = self._rows(top, self.height if bottom is None else bottom)
        if self.has_alpha:
            return np.ascontiguousarray(rows[..., -1])
        return np.full(rows.shape[:2], np.iinfo(rows.dtype).max, rows.dtype)

    def from_srgb(self, rgb: Pixels) -> Pixels:
        """Convert uint8 (h, w, 3), sRGB, to the picture's own RGB, 8 bits too."""
        return rgb if self._transforms is None else color.converted(rgb, self._transforms[1])


@dataclass(frozen=True)
class Rows:
    """A picture to be written, from top to bottom."""

    bands: Iterable[Samples]
    """uint8 or uint16 (rows, width, channels); the rows add up to the height."""
    height: int
    width: int
    made: Mapping[str, str] = field(default_factory=dict)
    """How it was made, kept in the file; the keys are ASCII words."""
    channels: int = 3
    """3, RGB, or 4 with alpha apart, which JPEG drops."""
    depth: int = 8
    """16 for bands of uint16, which JPEG and WebP round to 8 bits."""
    about: About | None = None
    """Metadata of the photo; None for a picture that comes from none."""
    quality: int = DEFAULT_QUALITY
    """1 to 100, used by JPEG and WebP."""

    @classmethod
    def of_array(cls, pixels: Pixels, made: Mapping[str, str] | None = None) -> Self:
        """Return the rows of uint8 (H, W, 3), sRGB."""
        height, width, _ = pixels.shape
        return cls([pixels], height, width, made or {})

    @classmethod
    def of_picture(
        cls,
        picture: Picture,
        bands: Iterable[Samples],
        made: Mapping[str, str],
        quality: int | None = None,
    ) -> Self:
        """Return rows made from a picture, with what its file said.

        The bands have its depth and its own colour space, (rows, W, 3), or (rows, W, 4) where it
        has alpha.
        """
        return cls(
            bands,
            picture.height,
            picture.width,
            made,
            4 if picture.has_alpha else 3,
            picture.depth,
            picture.about,
            DEFAULT_QUALITY if quality is None else quality,
        )

    def tags(self) -> Directory:
        """Return the EXIF that the file is to have."""
        return described(self.about, self.made, self.height, self.width)
