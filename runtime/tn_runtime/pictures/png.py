"""PNG: its chunks read, and pictures written band by band (PNG specification, W3C 2025).

The pixels are read by libvips. Kept by hand are the writer, since Pillow and imagecodecs want the
whole picture (and Pillow has no colours of 16 bits) and libvips takes no rows from Python; and the
chunks beside the pixels: libvips does not report gAMA, cHRM and cICP, inflates texts without a
bound (1 GB from 1 MB), and Pillow refuses those of more than a megabyte.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tn_runtime.pictures.color import Coded
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
XMP = "XML:com.adobe.xmp"
"""The text that is XMP."""
METRE = 0.0254
"""An inch in metres."""

PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks that the decoder needs."""
MAX_TEXT_BYTES = 2**26
"""Bound of all texts and profiles of a file, inflated."""

SUB, UP = 1, 2


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the data of each chunk, as far as the file has them."""
    place = len(SIGNATURE)
    while len(data) - place >= 12:
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        content = data[place + 8 : place + 8 + length]
        if len(content) < length:
            return
        yield kind, content
        place += 12 + length


def pixels_only(data: bytes) -> bytes:
    """Return a file without the chunks that say something beside the pixels."""
    parts, place = [SIGNATURE], len(SIGNATURE)
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind in PIXELS:
            parts.append(data[place : place + 12 + length])
        place += 12 + length
    return b"".join(parts)


@dataclass
class Said:
    """What the chunks of a file say beside the pixels."""

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


def read_chunks(data: bytes) -> Said:
    """Read what a file says; chunks that are broken are left out."""
    said, room = Said(), MAX_TEXT_BYTES
    for kind, content in chunks(data):
        try:
            if kind in TEXTS:
                key, value = TEXTS[kind](content, room)
                room -= len(value)
                said.texts.setdefault(key, value.decode("latin-1" if kind != b"iTXt" else "utf-8"))
            elif kind == b"iCCP":
                said.profile = _inflated(content.partition(b"\0")[2][1:], room)
                room -= len(said.profile)
            elif kind in SIMPLE:
                SIMPLE[kind](said, content)
        except _TooLongError:
            said.left_out = True
        except (ValueError, IndexError, struct.error, zlib.error):
            continue
    return said


class _TooLongError(Exception):
    """A text or a profile goes beyond the bound."""


def _inflated(data: bytes, most: int) -> bytes:
    inflate = zlib.decompressobj()
    value = inflate.decompress(data, most)
    if inflate.unconsumed_tail:
        raise _TooLongError
    return value


def _plain(content: bytes, most: int) -> tuple[str, bytes]:
    key, _, value = content.partition(b"\0")
    if len(value) > most:
        raise _TooLongError
    return key.decode("latin-1"), value


def _compressed(content: bytes, most: int) -> tuple[str, bytes]:
    key, _, value = content.partition(b"\0")
    return key.decode("latin-1"), _inflated(value[1:], most)


def _international(content: bytes, most: int) -> tuple[str, bytes]:
    key, _, rest = content.partition(b"\0")
    value = rest[2:].split(b"\0", 2)[2]
    if rest[0]:
        value = _inflated(value, most)
    elif len(value) > most:
        raise _TooLongError
    return key.decode("latin-1"), value


def _gamma(said: Said, content: bytes) -> None:
    said.gamma = int.from_bytes(content[:4], "big") / 100000


def _primaries(said: Said, content: bytes) -> None:
    values = [value / 100000 for value in struct.unpack(">8I", content)]
    said.primaries = (*values[2:], *values[:2])  # the file has white first


def _srgb(said: Said, _: bytes) -> None:
    said.srgb = True


def _coded(said: Said, content: bytes) -> None:
    primaries, transfer, matrix, full_range = content
    if matrix == 0 and full_range == 1:
        said.coded = Coded(primaries, transfer)


def _exif(said: Said, content: bytes) -> None:
    said.exif = content


def _density(said: Said, content: bytes) -> None:
    across, down, unit = struct.unpack(">2IB", content)
    if unit == 1:
        said.dpi = across * METRE, down * METRE


def _animation(said: Said, content: bytes) -> None:
    said.animated = int.from_bytes(content[:4], "big") > 1


TEXTS: dict[bytes, Callable[[bytes, int], tuple[str, bytes]]] = {
    b"tEXt": _plain,
    b"zTXt": _compressed,
    b"iTXt": _international,
}
SIMPLE: dict[bytes, Callable[[Said, bytes], None]] = {
    b"gAMA": _gamma,
    b"cHRM": _primaries,
    b"sRGB": _srgb,
    b"cICP": _coded,
    b"eXIf": _exif,
    b"pHYs": _density,
    b"acTL": _animation,
}


@dataclass(frozen=True)
class Header:
    """What the rows are, and what the file says about them."""

    height: int
    width: int
    channels: int = 3
    """3, RGB, or 4, RGBA with alpha apart."""
    depth: int = 8
    """8 or 16 bits."""
    profile: bytes | None = None
    """The ICC profile; without one the colours are sRGB."""
    coded: Coded | None = None
    """The colours as cICP, which readers that know it prefer to the profile."""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    """Horizontal, vertical."""


def write_png(
    stream: BinaryIO,
    bands: Iterable[Samples],
    header: Header,
    metadata: Mapping[str, str],
) -> None:
    """Write a picture from bands of uint8 or uint16 (rows, width, channels).

    The rows add up to the height. `metadata` becomes text chunks; its keys are Latin-1, 1 to 79
    characters.
    """
    stream.write(SIGNATURE)
    for kind, data in _before_pixels(header, metadata):
        _chunk(stream, kind, data)
    deflate = zlib.compressobj(LEVEL)
    pixel_bytes = header.channels * header.depth // 8
    above = np.zeros(header.width * pixel_bytes, np.uint8)
    for rows in _slices(bands, header.width * pixel_bytes):
        if data := deflate.compress(_filtered(rows, above, pixel_bytes).tobytes()):
            _chunk(stream, b"IDAT", data)
        above[:] = rows[-1]
        del rows  # a view would keep its band, while the next is being made
    _chunk(stream, b"IDAT", deflate.flush())
    _chunk(stream, b"IEND", b"")


def _before_pixels(header: Header, metadata: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    kinds = (header.depth, COLOUR_TYPES[header.channels], DEFLATE, ADAPTIVE, IN_ORDER)
    yield b"IHDR", struct.pack(">2I5B", header.width, header.height, *kinds)
    if header.coded:
        yield b"cICP", bytes([header.coded.primaries, header.coded.transfer, 0, 1])
    if header.profile:
        yield b"iCCP", b"ICC profile\0" + bytes([DEFLATE]) + zlib.compress(header.profile)
    else:
        yield b"sRGB", PERCEPTUAL
    if header.dpi:
        yield b"pHYs", struct.pack(">2IB", *(round(dots / METRE) for dots in header.dpi), 1)
    if header.exif:
        yield b"eXIf", header.exif
    if header.xmp:
        yield b"iTXt", _international_text(XMP, header.xmp)
    for key, value in metadata.items():
        yield b"iTXt", _international_text(key, value.encode(errors="backslashreplace"))


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


def _international_text(key: str, value: bytes) -> bytes:
    uncompressed, language, translated = b"\0\0", b"\0", b"\0"
    return key.encode("latin-1") + b"\0" + uncompressed + language + translated + value


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
