"""From the bytes of a file to a picture: which decoder reads it, and what its errors become."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyvips

from tn_runtime.errors import PictureError
from tn_runtime.pictures import lossy, pillow, png, tiff
from tn_runtime.pictures.encoded import Encoded
from tn_runtime.pictures.picture import Picture

MAX_PIXELS = 178_956_970
"""Pixels of a picture that is read, if nothing else is said: where Pillow draws the line."""
HEAD = 16
"""Bytes of a file that tell its kind."""
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

Decoder = Callable[[bytes], Encoded]


def decode(data: bytes, name: object = "the picture", max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the first picture of a file.

    16 bits stay; floats and integers of 32 bits become 8 bits: floats mean [0, 1]; if they leave
    that range, and for integers, the picture's own range is stretched to [0, 255]. CMYK and LAB
    become sRGB, and so does a profile that knows no way back. Up to 64 MB of samples are in memory,
    more in a temporary file.

    Args:
        data: the whole file.
        name: what errors call it.
        max_pixels: of a picture that is read.

    Raises:
        PictureError: empty, damaged, of more than `max_pixels`, no picture, or of a kind that an
            extra reads which is not installed.
        MemoryError: there is not enough for a picture that may be sound.
    """
    if not data:
        raise PictureError(f"{name} is empty; copy the picture again")
    with _errors(name):
        encoded = _decoder(data[:HEAD])(data)
        size = f"{encoded.width}x{encoded.height}"
        if encoded.width * encoded.height > max_pixels:
            raise PictureError(
                f"is too large a picture: {size} is more than {max_pixels} pixels; "
                "scale it down, or allow more (tn-run style: --max-pixels)"
            )
        if encoded.width * encoded.height == 0:
            raise ValueError(f"it is {size}")
        return encoded.decoded()


def check_header(stream: BinaryIO, name: object) -> None:
    """Refuse, without reading it all, a file that is no picture or needs an extra.

    Raises:
        PictureError: one of these.
    """
    with _errors(name):
        decoder = _decoder(stream.read(HEAD))
        if decoder is pillow.decode_heic:
            pillow.pillow_heif()
        elif decoder is pillow.decode:
            pillow.opened(stream)


def _decoder(head: bytes) -> Decoder:
    """Choose by the first bytes of a file; Pillow looks closer at those that are not known here."""
    if head.startswith(png.SIGNATURE):
        return png.decode
    if head.startswith(tiff.SIGNATURES):
        return tiff.decode
    if head.startswith(lossy.JPEG_SIGNATURE):
        return functools.partial(lossy.decode, "jpeg")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return functools.partial(lossy.decode, "webp")
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in AVIF_BRANDS:
        return functools.partial(lossy.decode, "heif")
    return pillow.decode_heic if brand in HEIC_BRANDS else pillow.decode


@contextlib.contextmanager
def _errors(name: object) -> Iterator[None]:
    """Make a PictureError of whatever a decoder raises."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name} {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders fail on damaged files in every way there is
        detail = error.detail if isinstance(error, pyvips.Error) else str(error)
        if "out of memory" in detail:
            raise MemoryError(f"{name} is too large for the memory there is") from error
        reason = detail.strip().splitlines()[-1] if detail.strip() else type(error).__name__
        raise PictureError(
            f"{name} is damaged, or no kind of picture that can be read: {reason}; copy it again, "
            "or save what is left of it anew with a program that opens it, such as an image editor"
        ) from error
