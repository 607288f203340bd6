"""From rows of samples to the bytes of a file: which formats there are, and where each ends."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from PIL import Image

from tn_runtime.errors import PictureError
from tn_runtime.files import atomic
from tn_runtime.pictures import exif, metadata, png, tiff
from tn_runtime.pictures.exif import Directory
from tn_runtime.pictures.metadata import About
from tn_runtime.pictures.picture import Picture
from tn_runtime.pixels import Pixels, Samples, to_8_bits

DEFAULT_QUALITY = 95
IN_MEMORY = 2**29
"""Pixels of a picture that is put together in memory: 2 GiB, as Pillow needs 4 bytes for each."""
JPEG_SEGMENT = 65533
"""Bytes that a segment of JPEG holds."""
JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
"""What begins a segment of XMP."""
STREAMED = "take .png or .tiff, which are written row by row"


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
    """What the file of a photo said; None for a picture that comes from none."""
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
        What of the photo or of its metadata has no place in the file, a few words each.

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


def _write_png(stream: BinaryIO, rows: Rows) -> list[str]:
    about = rows.about or About()
    tags = _tags(rows) if about.exif else {}  # without EXIF the texts say it all
    header = png.Header(
        rows.height,
        rows.width,
        rows.channels,
        rows.depth,
        about.profile,
        about.coded,
        exif.encode(tags),
        about.xmp,
        about.dpi,
    )
    png.write_png(stream, rows.bands, header, metadata.all_texts(about, rows.made))
    return []


def _write_tiff(stream: BinaryIO, rows: Rows) -> list[str]:
    about, tags = rows.about or About(), _tags(rows)
    if about.profile:
        tags[exif.PROFILE] = exif.Tag(exif.UNDEFINED, about.profile)
    if about.xmp:
        tags[exif.XMP] = exif.Tag(exif.BYTE, about.xmp)
    header = tiff.Header(rows.height, rows.width, rows.channels, rows.depth)
    tiff.write_tiff(stream, rows.bands, header, tags)
    return []


def _write_jpeg(stream: BinaryIO, rows: Rows) -> list[str]:
    options, left_out = _options(rows), []
    tags, dropped = exif.fitted(_tags(rows), JPEG_SEGMENT - len(exif.HEADER))
    options["exif"] = exif.HEADER + exif.encode(tags)
    if dropped:
        names = ", ".join(dropped)
        left_out.append(f"is without a part of the photo's EXIF ({names}): JPEG holds 64 KB of it")
    if len(options.get("xmp", b"")) > JPEG_SEGMENT - len(JPEG_XMP):
        del options["xmp"]
        left_out.append("is without the photo's XMP: JPEG holds 64 KB of it")
    # No chroma subsampling: textures are all fine detail.
    _whole(rows, 3).save(stream, "JPEG", subsampling="4:4:4", **options)
    return left_out


def _write_webp(stream: BinaryIO, rows: Rows) -> list[str]:
    options = _options(rows) | {"exif": exif.HEADER + exif.encode(_tags(rows))}
    # Exact: colours under alpha 0 stay as they are.
    _whole(rows, rows.channels).save(stream, "WEBP", exact=True, **options)
    return []


def _tags(rows: Rows) -> Directory:
    return metadata.described(rows.about, rows.made, (rows.height, rows.width))


def _options(rows: Rows) -> dict[str, Any]:
    """Return what Pillow is to write beside the pixels and EXIF."""
    about = rows.about or About()
    options: dict[str, Any] = {"quality": rows.quality, "icc_profile": about.profile}
    if about.xmp:
        options["xmp"] = about.xmp
    if about.dpi:
        options["dpi"] = about.dpi
    return options


def _whole(rows: Rows, channels: int) -> Image.Image:
    whole = Image.new("RGBA" if channels == 4 else "RGB", (rows.width, rows.height))
    top = 0
    for band in rows.bands:
        pixels = np.ascontiguousarray(to_8_bits(band)[..., :channels])
        whole.paste(Image.fromarray(pixels), (0, top))
        top += len(band)
    return whole


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
