"""JPEG, WebP and AVIF: read by libvips; JPEG and WebP are written by Pillow, whole in memory."""

import struct
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from tn_runtime.pictures import exif
from tn_runtime.pictures.color import Coded
from tn_runtime.pictures.encoded import Encoded
from tn_runtime.pictures.metadata import FIRST_OF_SEVERAL, About, Said
from tn_runtime.pictures.picture import Rows
from tn_runtime.pictures.vips import VipsDecoder
from tn_runtime.pixels import to_8_bits

JPEG_SIGNATURE = b"\xff\xd8\xff"
SEGMENT = 65533
"""Bytes that a segment of JPEG holds."""
XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
"""A segment of XMP begins with this."""


def decode(loader: str, data: bytes) -> Encoded:
    """Read the header; `loader` is jpeg, webp or, for AVIF, heif.

    Raises:
        pyvips.Error: damaged.
    """
    decoder = VipsDecoder(loader, data)
    said = Said(
        exif.read(decoder.field("exif-data", b"")),
        decoder.field("icc-profile-data", None),
        xmp=decoder.field("xmp-data", b""),
        dpi=_density_of_jfif(data),
    )
    if decoder.field("n-pages", 1) > 1:
        said.notes.append(FIRST_OF_SEVERAL)
    if loader == "heif" and not said.profile:
        said.coded = Coded.of_boxes(data)
    return decoder.encoded(said, upright=loader == "heif")


def _density_of_jfif(data: bytes) -> tuple[float, float] | None:
    """Return dots per inch; libvips mixes them with defaults where there is EXIF."""
    if data[6:11] != b"JFIF\0":
        return None
    unit, across, down = struct.unpack(">BHH", data[13:18])
    scale = {1: 1.0, 2: 2.54}.get(unit, 0.0)
    return (across * scale, down * scale) if scale else None


def write_jpeg(stream: BinaryIO, rows: Rows) -> list[str]:
    """Write a JPEG; return what has no place in it, a few words each."""
    options, left_out = _options(rows), []
    tags, dropped = exif.fitted(rows.tags(), SEGMENT - len(exif.HEADER))
    options["exif"] = exif.HEADER + exif.encode(tags)
    if dropped:
        names = ", ".join(dropped)
        left_out.append(f"is without a part of the photo's EXIF ({names}): JPEG holds 64 KB of it")
    if len(options.get("xmp", b"")) > SEGMENT - len(XMP_SEGMENT):
        del options["xmp"]
        left_out.append("is without the photo's XMP: JPEG holds 64 KB of it")
    # No chroma subsampling: textures are all fine detail.
    _whole(rows, 3).save(stream, "JPEG", subsampling="4:4:4", **options)
    return left_out


def write_webp(stream: BinaryIO, rows: Rows) -> list[str]:
    """Write a WebP; it has a place for everything."""
    options = _options(rows) | {"exif": exif.HEADER + exif.encode(rows.tags())}
    # Exact: colours under alpha 0 stay as they are.
    _whole(rows, rows.channels).save(stream, "WEBP", exact=True, **options)
    return []


def _options(rows: Rows) -> dict[str, Any]:
    """Return what Pillow is to write beside the pixels and EXIF."""
    about = rows.about or About()
    options = {"icc_profile": about.profile, "xmp": about.xmp, "dpi": about.dpi}
    return {"quality": rows.quality} | {name: value for name, value in options.items() if value}


def _whole(rows: Rows, channels: int) -> Image.Image:
    whole = Image.new("RGBA" if channels == 4 else "RGB", (rows.width, rows.height))
    top = 0
    for band in rows.bands:
        pixels = np.ascontiguousarray(to_8_bits(band)[..., :channels])
        whole.paste(Image.fromarray(pixels), (0, top))
        top += len(band)
    return whole
