"""Files of pictures, by name: which are taken for pictures, and their bytes."""

import os
from pathlib import Path

from tn_runtime.errors import PictureError
from tn_runtime.pictures.decode import MAX_PIXELS, check_header, decode
from tn_runtime.pictures.picture import Picture

SUFFIXES = frozenset((
    ".avif", ".avifs", ".bmp", ".dds", ".dib", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif",
    ".icns", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg",
    ".jpx", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif",
    ".tiff", ".webp",
))  # fmt: skip
"""Files in a folder that are taken for pictures; a file given by its name is always taken."""


def read(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Picture:
    """Read the first picture of a file; see `decode`.

    Raises:
        PictureError: missing, unreadable, or what `decode` refuses.
        MemoryError: there is not enough for a picture that may be sound.
    """
    return decode(read_bytes(path), path, max_pixels)


def check_readable(path: str | os.PathLike[str]) -> None:
    """Refuse, by its first bytes, a file that is no picture or needs an extra.

    Raises:
        PictureError: one of these, or it cannot be opened.
    """
    try:
        with Path(path).open("rb") as stream:
            check_header(stream, path)
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a picture's file; a pipe is read to its end.

    Raises:
        PictureError: missing, unreadable, empty or a folder.
    """
    if Path(path).is_dir():
        raise PictureError(f"{path} is a folder; name a picture")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise PictureError(f"{path} is empty; copy the picture again")
    return data
