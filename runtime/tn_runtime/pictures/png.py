"""PNG: its chunks read, and pictures written band by band (PNG specification, W3C 2025).

The pixels are read by libvips. Kept by hand are the writer, since Pillow and imagecodecs want the
whole picture (and Pillow has no colours of 16 bits) and libvips takes no rows from Python; and the
chunks beside the pixels: libvips does not report gAMA, cHRM and cICP, inflates texts without a
bound (1 GB from 1 MB), and Pillow refuses those of more than a megabyte.
"""

import contextlib
import dataclasses
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from tn_runtime.pictures import color, exif
from tn_runtime.pictures.color import Coded
from tn_runtime.pictures.encoded import Encoded
from tn_runtime.pictures.metadata import (
    FIRST_OF_SEVERAL,
    About,
    all_texts,
    exif_of_text,
    understood,
)
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
    said = Said.of(data)
    texts = said.texts
    block = said.exif or exif_of_text(texts.pop("Raw profile type exif", ""))
    notes = [FIRST_OF_SEVERAL] if said.animated else []
    if said.left_out:
        notes.append("texts or a profile of more than 64 MB are left out")
    decoder = VipsDecoder("png", said.pixels)
    about, orientation = understood(
        decoder.mode,
        exif.read(block),
        profile=said.profile,
        coded=said.coded,
        xmp=texts.pop(XMP, "").encode(),
        dpi=said.dpi,
        texts=texts,
        notes=tuple(notes),
    )
    if said.profile is None and said.coded is None and said.gamma and not said.srgb:
        made = color.profile_of_gamma(said.gamma, said.primaries)
        about = dataclasses.replace(about, profile=made)
    return decoder.encoded(about, orientation)


@dataclass
class Said:
    """What the chunks of a file say beside the pixels; those that are broken are left out."""

    pixels: bytes
    """The file without all of that."""
    profile: bytes | None = None
    gamma: float | None = None
    primaries: tuple[float, ...] | None = None
    """x and y of red, green, blue and white."""
    srgb: bool = False
    coded: Coded | None = None
    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    texts: dict[str, str] = field(default_factory=dict)
    animated: bool = False
    left_out: bool = False
    """Texts or a profile are beyond the bound, and left out."""
    room: int = MAX_TEXT_BYTES
    """Bytes that are left of the bound."""

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Read the chunks of a file."""
        said, pixels, place = cls(b""), [SIGNATURE], len(SIGNATURE)
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
                    said.take(kind, data[place + 8 : end - 4])
            place = end
        said.pixels = b"".join(pixels)
        return said

    def take(self, kind: bytes, content: bytes) -> None:
        """Read a chunk.

        Raises:
            ValueError, IndexError, struct.error, zlib.error: broken.
        """
        key, _, rest = content.partition(b"\0")
        match kind:
            case b"gAMA":
                self.gamma = int.from_bytes(content[:4], "big") / 100000
            case b"cHRM":
                values = [value / 100000 for value in struct.unpack(">8I", content)]
                self.primaries = (*values[2:], *values[:2])  # the file has white first
            case b"sRGB":
                self.srgb = True
            case b"cICP":
                primaries, transfer, matrix, full_range = content
                if matrix == 0 and full_range == 1:
                    self.coded = Coded(primaries, transfer)
            case b"iCCP":
                self.profile = self.bounded(rest[1:], compressed=True)
            case b"eXIf":
                self.exif = content
            case b"pHYs":
                across, down, unit = struct.unpack(">2IB", content)
                self.dpi = (across * METRE, down * METRE) if unit == 1 else None
            case b"acTL":
                self.animated = int.from_bytes(content[:4], "big") > 1
            case b"tEXt":
                self.add(key, self.bounded(rest), "latin-1")
            case b"zTXt":
                self.add(key, self.bounded(rest[1:], compressed=True), "latin-1")
            case b"iTXt":
                text = rest[2:].split(b"\0", 2)[2]  # behind a language and a translated key
                self.add(key, self.bounded(text, compressed=rest[0] != 0), "utf-8")

    def add(self, key: bytes, text: bytes, encoding: str) -> None:
        """Keep a text; of several with one key, the first."""
        self.texts.setdefault(key.decode("latin-1"), text.decode(encoding))

    def bounded(self, data: bytes, *, compressed: bool = False) -> bytes:
        """Return a text or a profile, inflated.

        Raises:
            ValueError, zlib.error: beyond the bound, or broken.
        """
        if compressed:
            data = zlib.decompressobj().decompress(data, self.room + 1)
        if len(data) > self.room:
            self.left_out = True
            raise ValueError(f"more than {MAX_TEXT_BYTES} bytes")
        self.room -= len(data)
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
