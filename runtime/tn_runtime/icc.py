"""ICC profiles: the ways from a picture's colours to sRGB, and back (ICC.1:2022)."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tn_runtime.pixels import Pixels

Transform = ImageCms.ImageCmsTransform

HEADER_BYTES = 128
SPACE, CONNECTION, DATE = slice(16, 20), slice(20, 24), slice(24, 36)
"""Places in the header."""
CURVES = (b"rTRC", b"gTRC", b"bTRC")


def srgb_transform(mode: str, profile: bytes | None) -> Transform | None:
    """Return the way from a profile's colours, in a mode of Pillow, to sRGB in RGB.

    None for a profile that is broken or of another mode: viewers show the colours as they are.
    """
    try:
        source: Any = None
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        elif mode == "LAB":
            source = ImageCms.createProfile("LAB")
        if source is not None:
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        pass
    return None


def ways(
    profile: bytes | None,
) -> tuple[Transform, Transform] | None:
    """Return the ways from a profile's RGB to sRGB, and back; None if either is missing."""
    there = srgb_transform("RGB", profile)
    if there is None or profile is None:
        return None
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        back = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None  # a profile of a scanner may know one way only
    return there, back


def converted(rgb: Pixels, transform: Transform) -> Pixels:
    """Convert uint8 (rows, W, 3)."""
    band = Image.fromarray(np.ascontiguousarray(rgb))
    return np.array(ImageCms.applyTransform(band, transform))


def rgb_of_grey(profile: bytes | None) -> bytes | None:
    """Return an RGB profile that shows equal samples as a grey profile shows one.

    It has the primaries of sRGB and the curve of the grey profile. None for other profiles, and
    for those whose curve means lightness.
    """
    if profile is None or profile[SPACE] != b"GRAY" or profile[CONNECTION] != b"XYZ ":
        return None
    grey = _elements(profile)
    if b"kTRC" not in grey:
        return None
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    elements = {**_elements(srgb), **dict.fromkeys(CURVES, grey[b"kTRC"])}
    elements.update({name: grey[name] for name in (b"desc", b"cprt") if name in grey})
    header = bytearray(srgb[:HEADER_BYTES])
    header[DATE] = profile[DATE]  # not that of today: the same photo gives the same file
    built = _built(bytes(header), elements)
    return built if ways(built) else None


def _elements(profile: bytes) -> dict[bytes, bytes]:
    count = int.from_bytes(profile[HEADER_BYTES : HEADER_BYTES + 4], "big")
    table = profile[HEADER_BYTES + 4 :][: 12 * count]
    entries = struct.iter_unpack(">4sII", table[: len(table) // 12 * 12])
    return {name: profile[place : place + size] for name, place, size in entries}


def _built(header: bytes, elements: dict[bytes, bytes]) -> bytes:
    table, data = struct.pack(">I", len(elements)), b""
    start = HEADER_BYTES + 4 + 12 * len(elements)
    for name, element in elements.items():
        table += struct.pack(">4sII", name, start + len(data), len(element))
        data += element + bytes(-len(element) % 4)
    return struct.pack(">I", start + len(data)) + header[4:] + table + data
