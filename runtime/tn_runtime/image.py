"""The only place where pictures are read and written; `photo.py` does both by way of it.

Whatever comes in becomes 8-bit sRGB (a photo keeps what it had); whatever goes out is whole under
its final name, or not there.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tn_runtime import exif, icc, png, samples, tiff
from tn_runtime.errors import PictureError
from tn_runtime.exif import Directory
from tn_runtime.files import atomic
from tn_runtime.pixels import Pixels as Pixels  # noqa: PLC0414 - the floors above import it here
from tn_runtime.samples import About, to_8_bits

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**27)
"""Of a picture that is read: where Pillow itself refuses."""


# Reading


def read_rgb(path: str | os.PathLike[str]) -> Pixels:
    """Read the first picture of a file as uint8 (H, W, 3), sRGB.

    Orientation and colour profile are applied. Alpha is ignored: the colours are as stored, not
    blended with anything. 16 bits are rounded to 8. Floats mean [0, 1]; if they leave that range,
    and for integers of 32 bits, the picture's own range is stretched to [0, 255].

    Raises:
        PictureError: missing, unreadable, empty, damaged, too large, or not a picture.
        MemoryError: there is not enough for a picture that may be sound.
    """
    return decode_rgb(read_bytes(path), path)


def decode_rgb(data: bytes, path: str | os.PathLike[str]) -> Pixels:
    """Decode a picture's file as `read_rgb` does; `path` is what errors call it."""
    with samples.reading(path):
        source, about = samples.decode(io.BytesIO(data), MAX_PIXELS)
        rgb = to_8_bits(source.colors(0, source.height))
        transform = icc.srgb_transform("RGB", about.profile)
        return rgb if transform is None else icc.converted(rgb, transform)


def read_alpha(path: str | os.PathLike[str]) -> Pixels | None:
    """Read the alpha of a picture that `read_rgb` reads, the right way up.

    Returns:
        uint8 (H, W), 255 is opaque; None if the picture has no alpha.

    Raises:
        PictureError: as `read_rgb`.
    """
    with samples.open_file(path) as stream, samples.reading(path):
        source, _ = samples.decode(stream, MAX_PIXELS)
        return to_8_bits(source.alpha(0, source.height)) if source.has_alpha else None


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a picture's file.

    Raises:
        PictureError: missing, unreadable, empty or a folder.
    """
    with samples.open_file(path) as stream:
        return stream.read()


# Writing


DEFAULT_QUALITY = 95


@dataclass(frozen=True)
class Picture:
    """What is to be written: bands of (rows, width, channels) that add up to the height."""

    bands: Iterable[NDArray[Any]]
    """uint8, RGB, if nothing else is said."""
    height: int
    width: int
    metadata: Mapping[str, str]
    """Kept in the file; keys are ASCII words. "Software" goes where formats have a place for it."""
    channels: int = 3
    """3, or 4 with alpha, which JPEG drops."""
    depth: int = 8
    """16 for bands of uint16, which JPEG and WebP round to 8 bits."""
    about: About | None = None
    """Of a photo; then `metadata` is for PNG only."""
    quality: int = DEFAULT_QUALITY
    """1 to 100, of JPEG and WebP."""


def write_picture(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture in the format that the suffix names, whole under its name or not at all.

    PNG and TIFF are written band by band; JPEG and WebP are put together in memory first.

    Raises:
        PictureError: an unknown suffix, a size beyond the format, or the file cannot be written.
    """
    check_output(path, picture.height, picture.width)
    write = FORMATS[Path(path).suffix.lower()].write
    try:
        with atomic(path) as temporary:
            write(temporary, picture)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PictureError(f"{path} cannot be written: {reason}") from error


def write_stdout(picture: Picture) -> None:
    """Write a PNG to stdout as it is made.

    Raises:
        OSError: the reader went away, or the disk behind it is full.
    """
    _stream_png(sys.stdout.buffer, picture)
    sys.stdout.buffer.flush()


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


def _write_png(path: Path, picture: Picture) -> None:
    with path.open("wb") as stream:
        _stream_png(stream, picture)


def _stream_png(stream: BinaryIO, picture: Picture) -> None:
    about = picture.about or About()
    header = png.Header(
        picture.height,
        picture.width,
        picture.channels,
        picture.depth,
        about.profile,
        exif.encode(about.exif),
        about.xmp,
        about.dpi,
    )
    png.write_png(stream, picture.bands, header, picture.metadata)


def _write_tiff(path: Path, picture: Picture) -> None:
    about = picture.about or About()
    tags = _exif(picture)
    if about.profile:
        tags[exif.PROFILE] = exif.Tag(exif.UNDEFINED, about.profile)
    if about.xmp:
        tags[exif.XMP] = exif.Tag(exif.BYTE, about.xmp)
    header = tiff.Header(picture.height, picture.width, picture.channels, picture.depth)
    tiff.write_tiff(path, picture.bands, header, tags)


def _write_jpeg(path: Path, picture: Picture) -> None:
    # No chroma subsampling: textures are all fine detail.
    options = _options(picture, JPEG_SEGMENT)
    _whole(picture, 3).save(path, "JPEG", subsampling="4:4:4", **options)


def _write_webp(path: Path, picture: Picture) -> None:
    # Exact: colours under alpha 0 stay as they are.
    _whole(picture, picture.channels).save(path, "WEBP", exact=True, **_options(picture))


def _options(picture: Picture, limit: int = 2**31) -> dict[str, Any]:
    """Return what Pillow is to write beside the pixels, without blocks beyond `limit` bytes."""
    about = picture.about or About()
    block = exif.HEADER + exif.encode(_exif(picture))
    options: dict[str, Any] = {"quality": picture.quality, "icc_profile": about.profile}
    if len(block) <= limit:
        options["exif"] = block
    if about.xmp and len(about.xmp) <= limit - len(JPEG_XMP):
        options["xmp"] = about.xmp
    if about.dpi:
        options["dpi"] = about.dpi
    return options


def _whole(picture: Picture, channels: int) -> Image.Image:
    whole = Image.new("RGBA" if channels == 4 else "RGB", (picture.width, picture.height))
    top = 0
    for band in picture.bands:
        pixels = np.ascontiguousarray(to_8_bits(band)[..., :channels])
        whole.paste(Image.fromarray(pixels), (0, top))
        top += len(band)
    return whole


def _exif(picture: Picture) -> Directory:
    if picture.about is not None:
        return dict(picture.about.exif)
    return {
        exif.SOFTWARE: exif.text(picture.metadata.get("Software", "")),
        exif.DESCRIPTION: exif.text(json.dumps(dict(picture.metadata))),
    }


@dataclass(frozen=True)
class Format:
    """A format that can be written, and its limits."""

    name: str
    write: Callable[[Path, Picture], None]
    max_side: int
    max_pixels: int = 2**62
    way_out: str = "ask for less"
    alpha: bool = True
    lossy: bool = False


IN_MEMORY = 2**29
"""Pixels of a picture that is put together in memory: 2 GiB, as Pillow needs 4 bytes for each."""
JPEG_SEGMENT, JPEG_XMP = 65533, b"http://ns.adobe.com/xap/1.0/\0"
"""Bytes that a segment holds, and what begins one of XMP."""
STREAMED = "take .png or .tiff, which are written row by row"

_PNG = Format("PNG", _write_png, png.MAX_SIDE)
_TIFF = Format("TIFF", _write_tiff, tiff.MAX_SIDE)
# libjpeg ends a little before the format's 65535.
_JPEG = Format("JPEG", _write_jpeg, 65500, IN_MEMORY, STREAMED, alpha=False, lossy=True)
_WEBP = Format("WebP", _write_webp, 16383, IN_MEMORY, STREAMED, lossy=True)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""What can be written, by suffix."""
