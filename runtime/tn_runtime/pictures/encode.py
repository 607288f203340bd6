"""From rows of samples to the bytes of a file: which formats there are, and where each ends."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tn_runtime.errors import PictureError
from tn_runtime.files import atomic
from tn_runtime.pictures import lossy, png, tiff
from tn_runtime.pictures.picture import Rows

IN_MEMORY = 2**29
"""Pixels of a picture that is put together in memory: 2 GiB, as Pillow needs 4 bytes for each."""
STREAMED = "take .png or .tiff, which are written row by row"


@dataclass(frozen=True)
class Format:
    """A format that can be written, and its limits."""

    name: str
    write: Callable[[BinaryIO, Rows], list[str]]
    """Writes the file and returns what was left out, a few words each."""
    max_side: int
    max_pixels: int = 2**62
    way_out: str = "ask for less"
    alpha: bool = True
    lossy: bool = False
    """Has a quality, and 8 bits only."""


def encode(stream: BinaryIO, suffix: str, rows: Rows) -> list[str]:
    """Write a picture in the format of that suffix.

    PNG and TIFF are written as the bands come, TIFF into a stream that can be read and changed
    anywhere; JPEG and WebP are put together in memory.

    Returns:
        The parts of the photo or its metadata that have no place in the file, a few words each.

    Raises:
        PictureError: an unknown suffix, or a size beyond the format.
        OSError: the stream cannot be written.
    """
    check_output(f"the picture{suffix}", rows.height, rows.width)
    kind = FORMATS[suffix.lower()]
    left_out = kind.write(stream, rows)
    if rows.channels == 4 and not kind.alpha:
        left_out.append("is without the photo's alpha; .png, .webp, .tiff keep it")
    if rows.depth > 8 and kind.lossy:
        left_out.append(f"has 8 bits of the photo's {rows.depth}; .png, .tiff keep all")
    return left_out


def save(path: str | os.PathLike[str], rows: Rows) -> list[str]:
    """Write a picture's file, whole under its name or not at all; see `encode`.

    Raises:
        PictureError: an unknown suffix, a size beyond the format, a quality that is none, or the
            file cannot be written.
    """
    check_output(path, rows.height, rows.width)
    check_quality(rows.quality)
    try:
        with atomic(path) as temporary, temporary.open("w+b") as stream:
            return encode(stream, Path(path).suffix, rows)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PictureError(f"{path} cannot be written: {reason}") from error


def check_output(path: str | os.PathLike[str], height: int, width: int) -> None:
    """Refuse what cannot be written, before any work is done.

    Raises:
        PictureError: an unknown suffix, or a size beyond the format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise PictureError(
            f"{path}: {suffix or 'no suffix'} is no format that can be written; "
            f"choose one of {', '.join(FORMATS)}"
        )
    kind = FORMATS[suffix]
    if max(height, width) > kind.max_side:
        raise PictureError(
            f"{path}: {width}x{height} is too large for {kind.name}, "
            f"which ends at {kind.max_side} pixels a side; {kind.way_out}"
        )
    if height * width > kind.max_pixels:
        raise PictureError(
            f"{path}: {width}x{height} is too large for {kind.name}, which is put together in "
            f"memory, up to {kind.max_pixels} pixels; {kind.way_out}"
        )


def check_quality(quality: int) -> None:
    """Refuse what is no quality.

    Raises:
        PictureError: not 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise PictureError(f"quality {quality} is out of range; it is 1 to 100")


_PNG = Format("PNG", png.write, png.MAX_SIDE)
_TIFF = Format("TIFF", tiff.write, tiff.MAX_SIDE)
# libjpeg ends a little before the format's 65535.
_JPEG = Format("JPEG", lossy.write_jpeg, 65500, IN_MEMORY, STREAMED, alpha=False, lossy=True)
_WEBP = Format("WebP", lossy.write_webp, 16383, IN_MEMORY, STREAMED, lossy=True)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""Formats that can be written, by suffix."""
