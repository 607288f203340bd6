"""TIFF: headers read, and pictures written band by band, by tifffile.

Deflate and the predictor are among what tifffile does without imagecodecs. libvips reads the pixels
of most TIFFs: row by row, with LZW, JPEG and planes that are stored apart; tifffile took 84 bytes
a pixel of 16 bits.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from tn_runtime.pictures import exif

MAX_SIDE = 2**31 - 1
"""Pixels. The format's own limit is twice that, but many readers count with a sign."""

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

TILE = 256
"""Pixels, a multiple of 16 as the format wants it."""
ROW_BYTES = 64 * 2**20
"""A row of tiles is kept below this, with lower tiles where the picture is very wide."""
CLASSIC_BYTES = 2**32 - 2**26
"""Offsets have 32 bits, and deflate may add a little to what it cannot compress."""

COLORS = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
    tifffile.PHOTOMETRIC.PALETTE: 3,
    tifffile.PHOTOMETRIC.SEPARATED: 4,
    tifffile.PHOTOMETRIC.YCBCR: 3,
    tifffile.PHOTOMETRIC.CIELAB: 3,
}
"""Number of colours, decoded."""
JPEG = tifffile.COMPRESSION.JPEG
OF_LIBVIPS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50001)
"""Compressions: none, CCITT, LZW, JPEG, deflate, PackBits, WebP."""
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
    stream: BinaryIO, bands: Iterable[NDArray[Any]], header: Header, tags: exif.Directory
) -> None:
    """Write a picture from bands of uint8 or uint16 (rows, width, channels).

    The rows add up to the height. `tags` holds whatever else the file is to say. The file is a
    BigTIFF where it has to be one. The stream can be read, too, and its place changed.
    """
    height, width, channels = header.height, header.width, header.channels
    sample_bytes = header.depth // 8
    rows = max(16, min(TILE, ROW_BYTES // (sample_bytes * channels * width) // 16 * 16))
    big = sample_bytes * channels * height * width > CLASSIC_BYTES
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
    """What the header of a TIFF's first page says."""

    page: tifffile.TiffPage
    height: int
    width: int
    colors: int
    """1, 3, or 4 of CMYK."""
    alpha: bool
    """The channel after the colours is alpha."""
    premultiplied: bool
    """The colours are already multiplied with alpha."""
    pages: int

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Type of the samples."""
        return np.dtype(self.page.dtype or np.uint8)

    @property
    def mode(self) -> str:
        """Pillow's name of the colours; grey is RGB, too."""
        if self.page.photometric == tifffile.PHOTOMETRIC.CIELAB:
            return "LAB"
        if self.page.photometric == tifffile.PHOTOMETRIC.YCBCR:
            return "RGB" if self.page.compression == JPEG else "YCbCr"  # which decoders convert
        return "CMYK" if self.colors == 4 else "RGB"

    @property
    def suits_libvips(self) -> bool:
        """Whether libvips can decode it, row by row."""
        apart = self.page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        garbled = apart and self.page.samplesperpixel == 2
        known = self.page.compression in OF_LIBVIPS and self.dtype != np.float64
        return known and not garbled and self.mode in {"RGB", "CMYK"}

    def whole(self) -> NDArray[Any]:
        """Decode with tifffile, whole in memory; (H, W, C) of the file's own type.

        Raises:
            ValueError: damaged, or compressed by what only imagecodecs knows.
        """
        values = self.page.asarray()
        if self.page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
            values = np.moveaxis(values, 0, 2)
        values = values.reshape(self.height, self.width, -1)
        values = values.astype(self.dtype, copy=False)  # in this machine's byte order
        inverted = self.page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        return ~values if inverted and values.dtype.kind == "u" else values


def read_page(stream: BinaryIO) -> Page:
    """Read the header of the first page.

    Raises:
        ValueError: colours of an unknown kind, or damaged.
    """
    stream.seek(0)
    file = tifffile.TiffFile(stream)
    page = file.pages.first
    if page.photometric not in COLORS:
        kind = tifffile.PHOTOMETRIC(page.photometric).name
        raise ValueError(f"colours of the kind {kind} are not known here")
    extra = tuple(page.extrasamples)
    alpha = bool(extra) and extra[0] in ALPHAS
    return Page(
        page,
        page.imagelength,
        page.imagewidth,
        COLORS[tifffile.PHOTOMETRIC(page.photometric)],
        alpha,
        alpha and extra[0] == tifffile.EXTRASAMPLE.ASSOCALPHA,
        _number_of_pages(file),
    )


def _number_of_pages(file: tifffile.TiffFile) -> int:
    """Count pages without reading them, two at most: reduced copies of the first are none."""
    try:
        second = file.pages[1]
    except IndexError:
        return 1
    return 1 if isinstance(second, tifffile.TiffPage) and second.is_reduced else 2
