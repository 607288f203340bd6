"""TIFF written band by band, and the TIFFs that Pillow cannot read.

Needs nothing but tifffile itself: deflate and the predictor are among what it does without
imagecodecs.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tn_runtime.pixels import Pixels

MAX_SIDE = 2**31 - 1
"""Pixels. The format's own limit is twice that, but many readers count with a sign."""

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

TILE = 256
"""Pixels, a multiple of 16 as the format wants it."""
ROW_BYTES = 64 * 2**20
"""A row of tiles is kept below this, with lower tiles where the picture is very wide."""
CLASSIC_BYTES = 2**32 - 2**26
"""Offsets have 32 bits, and deflate may add a little to what it cannot compress."""

ORIENTATION, PROFILE = 274, 34675
"""Codes of tags."""

# Of damaged files tifffile tells its logger much; without a handler that would land on stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def write_tiff(
    path: Path,
    bands: Iterable[Pixels],
    height: int,
    width: int,
    software: str,
    description: str,
) -> None:
    """Write a picture from bands of uint8 (rows, width, 3), RGB; the rows add up to the height.

    `software` and `description` are ASCII. The file is a BigTIFF where it has to be one.
    """
    rows = max(16, min(TILE, ROW_BYTES // (3 * width) // 16 * 16))
    big = 3 * height * width > CLASSIC_BYTES
    # Opened here: what TiffWriter opens stays open if Ctrl-C meets its constructor.
    with path.open("wb") as stream, tifffile.TiffWriter(stream, bigtiff=big) as writer:
        writer.write(
            _tiles(bands, rows),
            shape=(height, width, 3),
            dtype=np.uint8,
            tile=(rows, TILE),
            photometric="rgb",
            compression="zlib",
            predictor=True,
            maxworkers=1,  # more would read tiles ahead and hold them
            description=description,
            software=software,
            metadata=None,
        )


def _tiles(bands: Iterable[Pixels], rows: int) -> Iterator[Pixels]:
    for band in _rebanded(bands, rows):
        for left in range(0, band.shape[1], TILE):
            yield np.ascontiguousarray(band[:, left : left + TILE])


def _rebanded(bands: Iterable[Pixels], rows: int) -> Iterator[Pixels]:
    """Cut bands of any heights into bands of `rows` rows; the last may be lower."""
    rest: Pixels | None = None
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
    """(H, W, 3) of the file's own type; alpha is dropped, grey is repeated."""
    orientation: int
    """1 to 8, as in EXIF."""
    profile: bytes | None
    """The ICC profile."""


def decode_tiff(data: bytes, max_pixels: int) -> Page:
    """Read the first page.

    Raises:
        ValueError: more than `max_pixels`, or neither grey nor RGB.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.imagelength * page.imagewidth > max_pixels:
            raise ValueError(f"it has more than {max_pixels} pixels; scale it down")
        values = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
            values = np.moveaxis(values, 0, 2)
        orientation, profile = (page.tags.valueof(code) for code in (ORIENTATION, PROFILE))
    if values.ndim == 2:
        values = np.stack([values] * 3, axis=2)
    if values.ndim != 3 or values.shape[2] not in {3, 4}:
        raise ValueError(f"an array of shape {values.shape} is neither grey nor RGB")
    return Page(values[..., :3], int(orientation or 1), profile)
