"""PNG: its chunks read, and pictures written band by band (PNG specification, W3C 2025).

The pixels are read by libvips. Kept by hand are the writer, since Pillow and imagecodecs want the
whole picture (and Pillow has no colours of 16 bits) and libvips takes no rows from Python; and the
chunks beside the pixels: libvips does not report gAMA, cHRM and cICP, inflates texts without a
bound (1 GB from 1 MB), and Pillow refuses those of more than a megabyte.
"""

import contextlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tn_runtime.pictures import color, exif
from tn_runtime.pictures.color import Coded, Gamma
from tn_runtime.pictures.encoded import Encoded
from tn_runtime.pictures.metadata import FIRST_OF_SEVERAL, About, Said, all_texts, exif_of_text
from tn_runtime.pictures.picture import Rows
from tn_runtime.pictures.vips import VipsDecoder
from tn_runtime.pixels import Pixels, Samples

MAX_SIDE = 2**31 - 1
"""Pixels, by the specification."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LEVEL = 6
SLICE_BYTES = 2**20
"""So much of a band is filtered at once; the filters need eight times that."""

COLOUR_TYPES = {3: 2, 4: 6}
"""By channels."""
DEFLATE, ADAPTIVE, IN_ORDER = 0, 0, 0
"""Compression, filter and interlace methods of the header."""
PERCEPTUAL = b"\0"
UNCOMPRESSED = b"\0\0\0\0\0"
"""Stands between key and text of an iTXt: no compression, no language, no translated key."""
XMP = "XML:com.adobe.xmp"
"""The text that is XMP."""
METRE = 0.0254
"""An inch in metres."""

PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks that the decoder needs."""
MAX_TEXT_BYTES = 2**26
"""Bound of all texts and profiles of a file, inflated."""

SUB, UP = 1, 2


def decode(data: bytes) -> Encoded:
    """Read the header, and what the file says beside the pixels.

    Raises:
        pyvips.Error: damaged.
    """
    chunks = Chunks(data)
    return VipsDecoder("png", chunks.pixels).encoded(chunks.said())


class Chunks:
    """The chunks of a file; those beside the pixels that are broken are left out."""

    def __init__(self, data: bytes) -> None:
        self._said, self._exif, self._gamma, self._srgb = Said(), b"", 0.0, False
        self._primaries: tuple[float, ...] = color.SRGB
        self._left = MAX_TEXT_BYTES
        pixels, place = [SIGNATURE], len(SIGNATURE)
        while place < len(data):
            length, kind = (
                int.from_bytes(data[place : place + 4], "big"),
                data[place + 4 : place + 8],
            )
            end = place + 12 + length
            if kind in PIXELS:
                pixels.append(data[place:end])
            elif end <= len(data):
                with contextlib.suppress(ValueError, IndexError, struct.error, zlib.error):
                    self._take(kind, data[place + 8 : end - 4])
            place = end
        self.pixels = b"".join(pixels)
        """The file without what it says beside them."""

    def said(self) -> Said:
        """Return what the file says."""
        said, texts = self._said, self._said.texts
        if said.profile is None and said.coded is None and self._gamma and not self._srgb:
            said.coded = Gamma(self._gamma, self._primaries)
        of_text = exif_of_text(texts.pop("Raw profile type exif", ""))
        said.tags = exif.read(self._exif or of_text)
        said.xmp = texts.pop(XMP, "").encode()
        return said

    def _take(self, kind: bytes, content: bytes) -> None:
        said, (key, _, rest) = self._said, content.partition(b"\0")
        match kind:
            case b"gAMA":
                self._gamma = int.from_bytes(content[:4], "big") / 100000
            case b"cHRM":
                values = [value / 100000 for value in struct.unpack(">8I", content)]
                self._primaries = (*values[2:], *values[:2])  # the file has white first
            case b"sRGB":
                self._srgb = True
            case b"cICP":
                primaries, transfer, matrix, full_range = content
                if matrix == 0 and full_range == 1:
                    said.coded = Coded(primaries, transfer)
            case b"iCCP":
                said.profile = self._bounded(rest[1:], compressed=True)
            case b"eXIf":
                self._exif = content
            case b"pHYs":
                across, down, unit = struct.unpack(">2IB", content)
                said.dpi = (across * METRE, down * METRE) if unit == 1 else None
            case b"acTL" if int.from_bytes(content[:4], "big") > 1:
                said.notes.append(FIRST_OF_SEVERAL)
            case b"tEXt":
                self._add(key, self._bounded(rest), "latin-1")
            case b"zTXt":
                self._add(key, self._bounded(rest[1:], compressed=True), "latin-1")
            case b"iTXt":
                text = rest[2:].split(b"\0", 2)[2]  # behind a language and a translated key
                self._add(key, self._bounded(text, compressed=rest[0] != 0), "utf-8")

    def _add(self, key: bytes, text: bytes, encoding: str) -> None:
        """Keep a text; of several with one key, the first."""
        self._said.texts.setdefault(key.decode("latin-1"), text.decode(encoding))

    def _bounded(self, data: bytes, *, compressed: bool = False) -> bytes:
        """Return a text or a profile, inflated."""
        if compressed:
            data = zlib.decompressobj().decompress(data, self._left + 1)
        if len(data) > self._left:
            self._said.notes.append("texts or a profile of more than 64 MB are left out")
            raise ValueError(f"more than {MAX_TEXT_BYTES} bytes")
        self._left -= len(data)
        return data


def write(stream: BinaryIO, rows: Rows) -> list[str]:
    """Write a picture as its bands come; a PNG has a place for everything."""
    stream.write(SIGNATURE)
    for kind, data in _before_pixels(rows):
        _chunk(stream, kind, data)
    deflate = zlib.compressobj(LEVEL)
    pixel_bytes = rows.channels * rows.depth // 8
    above = np.zeros(rows.width * pixel_bytes, np.uint8)
    for lines in _slices(rows.bands, rows.width * pixel_bytes):
        if data := deflate.compress(_filtered(lines, above, pixel_bytes).tobytes()):
            _chunk(stream, b"IDAT", data)
        above[:] = lines[-1]
        del lines  # a view would keep its band, while the next is being made
    _chunk(stream, b"IDAT", deflate.flush())
    _chunk(stream, b"IEND", b"")
    return []


def _before_pixels(rows: Rows) -> Iterator[tuple[bytes, bytes]]:
    about = rows.about or About()
    kinds = (rows.depth, COLOUR_TYPES[rows.channels], DEFLATE, ADAPTIVE, IN_ORDER)
    yield b"IHDR", struct.pack(">2I5B", rows.width, rows.height, *kinds)
    if about.coded:
        yield b"cICP", bytes([about.coded.primaries, about.coded.transfer, 0, 1])
    if about.profile:
        yield b"iCCP", b"ICC profile\0" + bytes([DEFLATE]) + zlib.compress(about.profile)
    else:
        yield b"sRGB", PERCEPTUAL
    if about.dpi:
        yield b"pHYs", struct.pack(">2IB", *(round(dots / METRE) for dots in about.dpi), 1)
    if about.exif:  # without EXIF the texts say it all
        yield b"eXIf", exif.encode(rows.tags())
    texts = {XMP: about.xmp} if about.xmp else {}
    for key, value in all_texts(about, rows.made).items():
        texts[key] = value.encode(errors="backslashreplace")
    for key, text in texts.items():
        yield b"iTXt", key.encode("latin-1") + UNCOMPRESSED + text


def _slices(bands: Iterable[Samples], row_bytes: int) -> Iterator[Pixels]:
    """Yield uint8 (a few rows, row_bytes), samples of 16 bits with the high byte first."""
    step = max(1, SLICE_BYTES // row_bytes)
    for band in bands:
        for top in range(0, len(band), step):
            rows = band[top : top + step]
            if rows.dtype.itemsize == 2:
                rows = rows.astype(">u2")
            yield np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), row_bytes)
            del rows
        del band


def _chunk(stream: BinaryIO, kind: bytes, data: bytes) -> None:
    stream.write(struct.pack(">I", len(data)) + kind)
    stream.write(data)
    stream.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _filtered(rows: Pixels, above: Pixels, pixel_bytes: int) -> Pixels:
    """Return uint8 (n, 1 + row bytes): each row's filter, then what it leaves of the row.

    Each row takes Sub or Up, whichever leaves the smaller sum of absolute differences (the
    specification's section 12.7). Average and Paeth would take twice the time for 2% of the size.
    """
    left = np.pad(rows[:, :-pixel_bytes], ((0, 0), (pixel_bytes, 0)))
    upper = np.concatenate([above[None], rows[:-1]])
    sub, up = rows - left, rows - upper
    wins = _cost(up) < _cost(sub)
    kinds = np.where(wins, UP, SUB).astype(np.uint8)
    return np.column_stack([kinds, np.where(wins[:, None], up, sub)])


def _cost(differences: Pixels) -> NDArray[np.int64]:
    magnitudes = np.minimum(differences, 0 - differences)  # modulo 256
    cost: NDArray[np.int64] = magnitudes.sum(axis=1, dtype=np.int64)
    return cost
