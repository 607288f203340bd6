"""Hostile files by the hundred: what is sound is cut off, turned about and lied about."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image

from runtime.picture_files import chunk, png_bytes, smooth, some

LENGTHS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)


def by_pillow(kind, mode="RGB", **options):
    stream = io.BytesIO()
    Image.fromarray(smooth()).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def tiff_bytes(**options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, some(dtype=np.uint16), photometric="rgb", **options)
    return stream.getvalue()


def sound_pictures():
    """Return files of every kind that is read, by suffix."""
    exif = Image.Exif()
    exif[271], exif[274] = "Camera", 6
    exif.get_ifd(34665)[37500] = bytes(100)
    return {
        "png": png_bytes(smooth(), [(b"gAMA", struct.pack(">I", 100000))]),
        "png16": png_bytes(some(channels=4, dtype=np.uint16), interlaced=True),
        "jpg": by_pillow("JPEG", exif=exif, xmp=b"<x/>", icc_profile=b"x" * 200),
        "cmyk": by_pillow("JPEG", "CMYK"),
        "webp": by_pillow("WEBP", exif=exif),
        "tif": by_pillow("TIFF", compression="tiff_lzw"),
        "tif16": tiff_bytes(compression="zlib"),
        "lab": by_pillow("TIFF", "LAB"),
        "gif": by_pillow("GIF", "P"),
        "bmp": by_pillow("BMP"),
        "avif": by_pillow("AVIF"),
        "jp2": by_pillow("JPEG2000"),
        "tga": by_pillow("TGA"),
        "ppm": by_pillow("PPM"),
        "ico": by_pillow("ICO"),
    }


def mutations(data, rng, count):
    """Yield files that are nearly `data`."""
    for number in range(count):
        broken = bytearray(data)
        kind = number % 6
        place = int(rng.integers(len(broken)))
        if kind == 0:
            del broken[place:]
        elif kind == 1:
            for each in rng.integers(len(broken), size=8):
                broken[int(each)] = int(rng.integers(256))
        elif kind == 2:
            broken[place : place + 4] = struct.pack(">I", LENGTHS[number % len(LENGTHS)])
        elif kind == 3:
            broken[place : place + 4] = struct.pack("<I", LENGTHS[number % len(LENGTHS)])
        elif kind == 4:
            start = min(64, len(broken))
            broken[int(rng.integers(start))] ^= 1 << int(rng.integers(8))
        else:
            broken[place:place] = bytes(rng.integers(256, size=64, dtype=np.uint8))
        yield bytes(broken)


def bombs():
    """Yield files that are small, and say or hold what is large."""
    for width, height in ((60000, 60000), (2**31 - 1, 1), (1, 2**31 - 1), (2**32 - 1, 2**32 - 1)):
        header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
        yield b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    for kind in (b"zTXt", b"iCCP"):
        yield png_bytes(smooth(), [(kind, b"a\0\0" + zlib.compress(bytes(10**8)))])
    yield b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) print\n"
    yield b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)
