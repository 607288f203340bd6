"""Photos, read and written so that they keep what they had.

The file's own colour space, 16 bits, alpha, EXIF, XMP and resolution go from the file that is read
into the file that is written, as far as its format has a place for them.
"""

import dataclasses
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import numpy as np

from tn_runtime import exif, icc
from tn_runtime.errors import PictureError
from tn_runtime.exif import Directory
from tn_runtime.image import (
    DEFAULT_QUALITY,
    FORMATS,
    Picture,
    check_output,
    write_picture,
    write_stdout,
)
from tn_runtime.image import MAX_PIXELS as MAX_PIXELS  # noqa: PLC0414 - the default here
from tn_runtime.pixels import Pixels
from tn_runtime.samples import About, Samples, Source, decode, open_file, reading, to_8_bits
from tn_runtime.samples import ArraySource as ArraySource  # noqa: PLC0414 - for photos of arrays

WAY_OUT = "scale it down, or allow more with --max-pixels"

AUTHORS_OWN = frozenset(
    ("Artist", "Author", "Comment", "Copyright", "Description", "ImageDescription", "Title")
)
"""Texts of a photo that what is written about its making does not replace."""
COMMENT_CODE = b"ASCII\0\0\0"
"""What EXIF wants before a user comment."""


class Photo:
    """A decoded photo, upright, and what its file said about it."""

    height: int
    width: int
    """Pixels."""
    depth: int
    """8 or 16 bits a sample."""
    has_alpha: bool
    about: About

    def __init__(self, source: Source, about: About) -> None:
        self.height, self.width = source.height, source.width
        self.depth, self.has_alpha = source.depth, source.has_alpha
        self._source = source
        self._ways = icc.ways(about.profile)
        self.about = about if self._ways else dataclasses.replace(about, profile=None)

    @classmethod
    def from_array(cls, array: Samples) -> Self:
        """Return a photo of uint8 or uint16 (H, W, 3), (H, W, 4) with alpha or (H, W), grey.

        The colours are sRGB. The array is not copied.

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
        return cls(ArraySource(array.reshape(*array.shape[:2], -1)), About())

    def colors(self, top: int, bottom: int) -> Samples:
        """Return rows of the photo's own RGB, uint8 or uint16 (rows, W, 3), as stored.

        They are not multiplied with alpha.
        """
        return self._source.colors(top, bottom)

    def srgb(self, top: int, bottom: int) -> Pixels:
        """Return rows as uint8 (rows, W, 3), sRGB."""
        rgb = to_8_bits(self.colors(top, bottom))
        return rgb if self._ways is None else icc.converted(rgb, self._ways[0])

    def alpha(self, top: int, bottom: int) -> Samples:
        """Return rows of alpha, (rows, W) of the dtype of `colors`; its largest value is opaque."""
        if self.has_alpha:
            return self._source.alpha(top, bottom)
        dtype = np.uint16 if self.depth == 16 else np.uint8
        return np.full((bottom - top, self.width), np.iinfo(dtype).max, dtype)

    def from_srgb(self, rgb: Pixels) -> Pixels:
        """Convert uint8 (h, w, 3), sRGB, to the photo's own RGB, 8 bits too."""
        return rgb if self._ways is None else icc.converted(rgb, self._ways[1])


# Reading


def read_photo(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Read the first picture of a file, whatever Pillow or tifffile can read.

    PNG and TIFF keep 16 bits. Grey becomes RGB, and its profile one of RGB with the same curve;
    CMYK and LAB become sRGB, and so does a profile that knows no way back. Floats and integers of
    32 bits become 8 bits, as in `image.read_rgb`. In memory a pixel takes up to 4 bytes, with 16
    bits up to 8; of a photo that its EXIF turns, twice that for a moment.

    Raises:
        PictureError: missing, unreadable, empty, damaged, of more than `max_pixels`, or no picture.
        MemoryError: there is not enough for a picture that may be sound.
    """
    with open_file(path) as stream, reading(path, WAY_OUT):
        return Photo(*decode(stream, max_pixels))


def decode_photo(data: bytes, path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo's file as `read_photo` does; `path` is what errors call it."""
    if not data:
        raise PictureError(f"{path} is empty; send a picture")
    with reading(path, WAY_OUT):
        return Photo(*decode(io.BytesIO(data), max_pixels))


# Writing


def write_photo(
    path: str | os.PathLike[str],
    photo: Photo,
    bands: Iterable[Samples],
    metadata: Mapping[str, str],
    quality: int | None = None,
) -> None:
    """Write a picture made from a photo, with what the photo's file said about it.

    Args:
        path: its suffix names the format; the file is whole under its name or not there.
        photo: gives the size, the colour space, EXIF, XMP, resolution and texts.
        bands: of the photo's depth, uint8 or uint16 (rows, W, 3) in its own colour space, or
            (rows, W, 4) where it has alpha; the rows add up to its height. PNG and TIFF are written
            as they come; JPEG, which drops alpha, and WebP are put together in memory, 4 bytes a
            pixel, and rounded to 8 bits.
        metadata: how it was made, as in `image.Picture`. The photo's author, title, description
            and copyright stay as they are.
        quality: 1 to 100, of JPEG and WebP.

    Raises:
        PictureError: what `check_photo_output` refuses, or the file cannot be written.
    """
    check_photo_output(path, photo, quality)
    write_picture(path, _picture(photo, bands, metadata, Path(path).suffix, quality))


def write_photo_stdout(photo: Photo, bands: Iterable[Samples], metadata: Mapping[str, str]) -> None:
    """Write a PNG to stdout as its bands come, which are as in `write_photo`.

    Raises:
        OSError: the reader went away, or the disk behind it is full.
    """
    write_stdout(_picture(photo, bands, metadata, ".png"))


def check_photo_output(
    path: str | os.PathLike[str], photo: Photo, quality: int | None = None
) -> None:
    """Refuse what cannot be written, before any work is done.

    Raises:
        PictureError: an unknown suffix, a size beyond the format, or a quality that it has not.
    """
    check_output(path, photo.height, photo.width)
    if quality is None:
        return
    if not FORMATS[Path(path).suffix.lower()].lossy:
        lossy = ", ".join(suffix for suffix, kind in FORMATS.items() if kind.lossy)
        raise PictureError(
            f"{path} keeps every pixel and has no quality {quality}; "
            f"leave it out, or choose one of {lossy}"
        )
    if not 1 <= quality <= 100:
        raise PictureError(f"quality {quality} is out of range; it is 1 to 100")


def keeps_alpha(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file of this name, which can be written, has a place for alpha."""
    return FORMATS[Path(path).suffix.lower()].alpha


def keeps_depth(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file of this name, which can be written, has a place for 16 bits."""
    return not FORMATS[Path(path).suffix.lower()].lossy


def _picture(
    photo: Photo,
    bands: Iterable[Samples],
    metadata: Mapping[str, str],
    suffix: str,
    quality: int | None = None,
) -> Picture:
    about = photo.about
    if about.exif or suffix.lower() != ".png":  # which has texts
        about = dataclasses.replace(about, exif=_exif(photo, metadata))
    own = {key: text for key, text in about.texts.items() if key in AUTHORS_OWN}
    return Picture(
        bands,
        photo.height,
        photo.width,
        {**about.texts, **metadata, **own},
        channels=4 if photo.has_alpha else 3,
        depth=photo.depth,
        about=about,
        quality=DEFAULT_QUALITY if quality is None else quality,
    )


def _exif(photo: Photo, metadata: Mapping[str, str]) -> Directory:
    """Return the photo's EXIF, with its new size, and with who made it and how."""
    tags = dict(photo.about.exif)
    shot = tags.get(exif.EXIF)
    shot = (
        dict(shot) if isinstance(shot, dict) else {exif.VERSION: exif.Tag(exif.UNDEFINED, b"0232")}
    )
    if exif.PIXEL_WIDTH in shot and exif.PIXEL_HEIGHT in shot:
        shot[exif.PIXEL_WIDTH] = exif.long(photo.width)
        shot[exif.PIXEL_HEIGHT] = exif.long(photo.height)
    if not _comment(shot):
        note = COMMENT_CODE + json.dumps(dict(metadata)).encode()
        shot[exif.USER_COMMENT] = exif.Tag(exif.UNDEFINED, note)
    tags[exif.EXIF] = shot
    tags[exif.SOFTWARE] = exif.text(metadata.get("Software", ""))
    if photo.about.dpi:
        across, down = photo.about.dpi
        tags[exif.X_RESOLUTION], tags[exif.Y_RESOLUTION] = map(exif.rational, (across, down))
        tags[exif.RESOLUTION_UNIT] = exif.short(exif.INCH)
    return tags


def _comment(shot: Directory) -> bytes:
    """Return what a person wrote; cameras fill the place with blanks."""
    return exif.content(shot.get(exif.USER_COMMENT))[len(COMMENT_CODE) :].strip(b" \0")
