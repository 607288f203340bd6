"""TIFF written band by band, and the TIFFs that Pillow cannot read.

Needs nothing but tifffile itself: deflate and the predictor are among what it does without
imagecodecs.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tn_runtime import exif

MAX_SIDE = 2**31 - 1
"""Pixels. The format's own limit is twice that, but many readers count with a sign."""

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

TILE = 256
"""Pixels, a multiple of 16 as the format wants it."""
ROW_BYTES = 64 * 2**20
"""A row of tiles is kept below this, with lower tiles where the picture is very wide."""
CLASSIC_BYTES = 2**32 - 2**26
"""Offsets have 32 bits, and deflate may add a little to what it cannot compress."""

COLOURS = (
    tifffile.PHOTOMETRIC.MINISWHITE,
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.RGB,
)
ALPHAS = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)

# Of damaged files tifffile tells its logger much; without a handler that would land on stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Header:
    """What the rows are."""

    height: int
    width: int
    channels: int = 3
    """3, RGB, or 4, RGBA with alpha apart."""
    depth: int = 8
    """8 or 16 bits."""


def write_tiff(
    path: Path, bands: Iterable[NDArray[Any]], header: Header, tags: exif.Directory
) -> None:
    """Write a picture from bands of uint8 or uint16 (rows, width, channels).

    The rows add up to the height. `tags` holds whatever else the file is to say. The file is a
    BigTIFF where it has to be one.
    """
    height, width, channels = header.height, header.width, header.channels
    sample_bytes = header.depth // 8
    rows = max(16, min(TILE, ROW_BYTES // (sample_bytes * channels * width) // 16 * 16))
    big = sample_bytes * channels * height * width > CLASSIC_BYTES
    # Opened here: what TiffWriter opens stays open if Ctrl-C meets its constructor.
    with path.open("w+b") as stream:
        with tifffile.TiffWriter(stream, bigtiff=big, byteorder="<") as writer:
            writer.write(
                _tiles(bands, rows),
                shape=(height, width, channels),
                dtype=f"u{sample_bytes}",
                tile=(rows, TILE),
                photometric="rgb",
                extrasamples=["unassalpha"] * (channels - 3),
                compression="zlib",
                predictor=True,
                maxworkers=1,  # more would read tiles ahead and hold them
                software=False,
                metadata=None,
            )
        exif.append(stream, tags)


def _tiles(bands: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    for band in _rebanded(bands, rows):
        for left in range(0, band.shape[1], TILE):
            yield np.ascontiguousarray(band[:, left : left + TILE])


def _rebanded(bands: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """Cut bands of any heights into bands of `rows` rows; the last may be lower."""
    rest: NDArray[Any] | None = None
    for band in bands:
        joined = band if rest is None else np.concatenate([rest, band])
        whole = len(joined) // rows * rows
        for top in range(0, whole, rows):
            yield joined[top : top + rows]
        rest = joined[whole:]
    if rest is not None and len(rest):
        yield rest


@dataclass(frozen=True)
class Page:
    """The first page of a TIFF."""

    values: NDArray[Any]
    """(H, W, 3), or (H, W, 1) of grey, of the file's own type."""
    alpha: NDArray[Any] | None
    """(H, W) of the same type."""
    premultiplied: bool
    """The colours are already multiplied with alpha."""


def read_tiff(stream: BinaryIO, max_pixels: int) -> Page:
    """Read the first page.

    Raises:
        DecompressionBombError: more than `max_pixels`.
        ValueError: neither grey nor RGB, or damaged.
    """
    stream.seek(0)
    with tifffile.TiffFile(stream) as file:
        page = file.pages.first
        if page.imagelength * page.imagewidth > max_pixels:
            size = f"{page.imagewidth}x{page.imagelength}"
            raise Image.DecompressionBombError(f"{size} is more than {max_pixels} pixels")
        if page.photometric not in COLOURS:
            kind = tifffile.PHOTOMETRIC(page.photometric).name
            raise ValueError(f"colours of the kind {kind} are not known here")
        values = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
            values = np.moveaxis(values, 0, 2)
        extra = tuple(page.extrasamples)
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    if values.ndim == 2:
        values = values[..., None]
    if inverted and values.dtype.kind == "u":
        values = ~values
    colours = values.shape[2] - len(extra) if values.ndim == 3 else 0
    if colours not in {1, 3}:
        raise ValueError(f"an array of shape {values.shape} is neither grey nor RGB")
    has_alpha = bool(extra) and extra[0] in ALPHAS
    return Page(
        values[..., :colours],
        values[..., colours] if has_alpha else None,
        has_alpha and extra[0] == tifffile.EXTRASAMPLE.ASSOCALPHA,
    )
