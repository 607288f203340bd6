"""TIFF: read by libvips where it can and by tifffile otherwise, written band by band by tifffile.

Deflate and the predictor are among what tifffile does without imagecodecs. libvips reads row by
row, with LZW, JPEG and planes that are stored apart. It does not know numbers of 64 bits and LAB,
leaves YCbCr as it is, and garbles some planes.
"""

import io
import itertools
import logging
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from tn_runtime.pictures import exif
from tn_runtime.pictures.encoded import STRIP, Encoded
from tn_runtime.pictures.metadata import FIRST_OF_SEVERAL, About, Said
from tn_runtime.pictures.picture import Rows
from tn_runtime.pictures.resampling import RowBuffer
from tn_runtime.pictures.vips import VipsDecoder

MAX_SIDE = 2**31 - 1
"""Pixels. The format's own limit is twice that, but many readers count with a sign."""

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

TILE = 256
"""Pixels, a multiple of 16 as the format wants it."""
ROW_BYTES = 64 * 2**20
"""A row of tiles is kept below this, with lower tiles where the picture is very wide."""
CLASSIC_BYTES = 2**32 - 2**26
"""Offsets have 32 bits, and deflate may add a little to what it cannot compress."""

MODES = {
    tifffile.PHOTOMETRIC.MINISWHITE: "L",
    tifffile.PHOTOMETRIC.MINISBLACK: "L",
    tifffile.PHOTOMETRIC.RGB: "RGB",
    tifffile.PHOTOMETRIC.PALETTE: "RGB",
    tifffile.PHOTOMETRIC.SEPARATED: "CMYK",
    tifffile.PHOTOMETRIC.YCBCR: "YCbCr",
    tifffile.PHOTOMETRIC.CIELAB: "LAB",
}
"""Pillow's names of the colours."""
OF_LIBVIPS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50001)
"""Compressions: none, CCITT, LZW, JPEG, deflate, PackBits, WebP."""
NUMBERS = {"uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "bool"}
"""Types of samples that libvips reads."""
ASSOCALPHA, UNASSALPHA = tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA
"""Kinds of alpha: the colours are multiplied with it, or not."""
PIECE_BYTES = 2**20
"""Bytes that tifffile reads at once."""

# Of damaged files tifffile tells its logger much; without a handler that would land on stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def decode(data: bytes) -> Encoded:
    """Read the header of the first page.

    Raises:
        ValueError: colours of an unknown kind, or damaged.
        pyvips.Error: damaged.
    """
    page = Page(data)
    decoder = VipsDecoder("tiff", data, unlimited=True) if page.suits_libvips else None
    # By the samples a palette of greys is grey, and JPEG's YCbCr is RGB.
    mode = decoder.mode if decoder and page.mode != "L" else page.mode
    said = Said(exif.read(data))
    said.profile, said.xmp = (
        exif.content(said.tags.pop(code, None)) for code in (exif.PROFILE, exif.XMP)
    )
    if page.is_one_of_several():
        said.notes.append(FIRST_OF_SEVERAL)
    if decoder:  # which has divided by alpha
        return decoder.encoded(said, mode=mode, alpha=page.alpha)
    return Encoded(
        page.height,
        page.width,
        mode,
        page.alpha,
        page.dtype,
        page.strips,
        said,
        premultiplied=page.premultiplied,
    )


class Page:
    """The first page of a file, by tifffile."""

    def __init__(self, data: bytes) -> None:
        """Read the header.

        Raises:
            ValueError: colours of an unknown kind, or damaged.
        """
        self._data, self._file = data, tifffile.TiffFile(io.BytesIO(data))
        self._page = page = self._file.pages.first
        self.height, self.width = page.imagelength, page.imagewidth
        self.dtype = np.dtype(page.dtype or np.uint8)
        if page.photometric not in MODES:
            kind = tifffile.PHOTOMETRIC(page.photometric).name
            raise ValueError(f"colours of the kind {kind} are not known here")
        self.mode = MODES[tifffile.PHOTOMETRIC(page.photometric)]
        extra = tuple(page.extrasamples)[:1]
        self.alpha = extra in {(ASSOCALPHA,), (UNASSALPHA,)}
        self.premultiplied = extra == (ASSOCALPHA,)
        self._apart = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE

    @property
    def suits_libvips(self) -> bool:
        """Whether libvips can decode it."""
        page = self._page
        garbled = self._apart and (page.samplesperpixel == 2 or self.dtype == np.float16)
        plain = self.mode not in {"LAB", "YCbCr"} or page.compression == tifffile.COMPRESSION.JPEG
        return (
            page.compression in OF_LIBVIPS and self.dtype.name in NUMBERS and plain and not garbled
        )

    def is_one_of_several(self) -> bool:
        """Tell whether a second page follows that is no reduced copy of the first."""
        try:
            second = self._file.pages[1]
        except IndexError:
            return False
        return not (isinstance(second, tifffile.TiffPage) and second.is_reduced)

    def strips(self) -> Iterator[NDArray[Any]]:
        """Yield (rows, W, channels) from top to bottom.

        Raises:
            ValueError: damaged, or compressed by what only imagecodecs knows.
        """
        inverted = self._page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        whole = self._apart or self._page.is_contiguous
        for piece in [self._whole()] if whole else self._pieces():
            for top in range(0, len(piece), STRIP):
                values = piece[top : top + STRIP].astype(self.dtype)  # in this machine's order
                yield ~values if inverted and values.dtype.kind == "u" else values

    def _whole(self) -> NDArray[Any]:
        """Return the page as it lies in the file, or all its planes decoded."""
        page, channels = self._page, self._page.samplesperpixel
        if page.is_contiguous:
            stored = self.dtype.newbyteorder(self._file.byteorder)
            size = self.height * self.width * channels
            values = np.frombuffer(self._data, stored, size, page.dataoffsets[0])
        else:
            values = page.asarray(maxworkers=1)
        if self._apart:
            values = np.moveaxis(values.reshape(channels, self.height, self.width), 0, 2)
        return values.reshape(self.height, self.width, channels)

    def _pieces(self) -> Iterator[NDArray[Any]]:
        """Decode strip by strip, or one row of tiles after the other."""
        segments = self._page.segments(maxworkers=1, buffersize=PIECE_BYTES)
        for top, row in itertools.groupby(segments, lambda segment: segment[1][2]):
            parts = [
                np.zeros(shape[1:], self.dtype) if values is None else values[0]
                for values, _, shape in row
            ]
            yield np.concatenate(parts, axis=1)[: self.height - top, : self.width]


def write(stream: BinaryIO, rows: Rows) -> list[str]:
    """Write a picture as its bands come; a TIFF has a place for everything.

    The file is a BigTIFF where it has to be one. The stream can be read, too, and its place
    changed.
    """
    about, tags = rows.about or About(), rows.tags()
    if about.profile:
        tags[exif.PROFILE] = exif.Tag(exif.UNDEFINED, about.profile)
    if about.xmp:
        tags[exif.XMP] = exif.Tag(exif.BYTE, about.xmp)
    line = rows.width * rows.channels * rows.depth // 8
    height = max(16, min(TILE, ROW_BYTES // line // 16 * 16))
    big = line * rows.height > CLASSIC_BYTES
    with tifffile.TiffWriter(stream, bigtiff=big, byteorder="<") as writer:
        writer.write(
            _tiles(rows, height),
            shape=(rows.height, rows.width, rows.channels),
            dtype=f"u{rows.depth // 8}",
            tile=(height, TILE),
            photometric="rgb",
            extrasamples=["unassalpha"] * (rows.channels - 3),
            compression="zlib",
            predictor=True,
            maxworkers=1,  # more would read tiles ahead and hold them
            software=False,
            metadata=None,
        )
    exif.append(stream, tags, big)
    return []


def _tiles(rows: Rows, height: int) -> Iterator[NDArray[Any]]:
    band = RowBuffer(iter(rows.bands))
    for top in range(0, rows.height, height):
        line = band(top, min(top + height, rows.height))
        for left in range(0, rows.width, TILE):
            yield np.ascontiguousarray(line[:, left : left + TILE])
