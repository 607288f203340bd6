"""EXIF: directories of tags, as TIFF 6.0 has them; read, changed and written again.

Kept by hand: Pillow guesses the type of what it writes ("Söhne" becomes "S??hne") and stumbles over
tags that are not as the standard has them; libvips and piexif drop tags they do not know. Here a
tag that nobody changes keeps its type and its bytes.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np

HEADER = b"Exif\0\0"
"""What JPEG, and some writers of PNG and WebP, put before the directories."""

DESCRIPTION, ORIENTATION, SOFTWARE = 270, 274, 305
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
XMP, PROFILE = 700, 34675
EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965
VERSION, USER_COMMENT, PIXEL_WIDTH, PIXEL_HEIGHT = 36864, 37510, 40962, 40963
"""Codes of tags."""

NAMES = {37500: "the maker's note", USER_COMMENT: "the comment", DESCRIPTION: "the description"}
"""Tags that can be large."""

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD8 = 1, 2, 3, 4, 5, 7, 18
"""Types of values."""

DIRECTORIES = (EXIF, GPS, INTEROPERABILITY)
INCH, CENTIMETRE = 2, 3

SIZES = dict(zip(range(1, 19), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8), strict=True))
"""Bytes of a value, by type."""
SWAPPED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Size in bytes of the unit whose bytes the order swaps, by type."""

_SPANS = (
    *((254, 267), (273, 274), (277, 282), (284, 285), (288, 292), (297, 298), (301, 302)),
    *((317, 348), (400, 401), (512, 533), (34377, 34378), (37724, 37725), (50700, 2**16)),
)
PIXELS_ONLY = frozenset(code for first, end in _SPANS for code in range(first, end))
"""Tags of a TIFF that say how its own pixels lie, and those of Photoshop with its thumbnail."""

MAX_TAGS = 4096
"""Limit for one directory."""
MAX_BYTES = 2**26
"""Limit for all values: many directories of a broken file could name the same bytes."""


@dataclass(frozen=True)
class Tag:
    """A value: its type, and its bytes in little-endian order."""

    kind: int
    data: bytes

    @property
    def count(self) -> int:
        """How many values of the type there are."""
        return len(self.data) // SIZES[self.kind]


@dataclass(frozen=True)
class Placed:
    """A value that already lies in a file: what its directory says of it."""

    kind: int
    count: int
    field: bytes
    """The value itself if it is short, its place otherwise."""


Directory = dict[int, "Tag | Directory"]
"""Tags by code; EXIF, GPS and INTEROPERABILITY are directories themselves."""


def read(stream: BinaryIO) -> Directory:
    """Read the first directory of a TIFF or of an EXIF block, and those within; {} if it is none.

    The thumbnail (the second directory) and whatever cannot be read are left out.
    """
    try:
        return _Reader(stream).first()
    except (struct.error, KeyError):
        return {}


def decode(block: bytes) -> Directory:
    """Read an EXIF block, with its header or without."""
    return read(io.BytesIO(block.removeprefix(HEADER)))


def encode(directory: Directory) -> bytes:
    """Return an EXIF block without its header, little-endian; empty for an empty directory."""
    return b"II*\0" + struct.pack("<I", 8) + lay(directory, 8, False) if directory else b""


def fitted(directory: Directory, limit: int) -> tuple[Directory, list[str]]:
    """Leave out the largest tags until the block has at most `limit` bytes; name them."""
    dropped: list[str] = []
    while len(encode(directory)) > limit:
        sizes = {path: len(content(tag)) for path, tag in _tags(directory)}
        parent, code = max(sizes, key=lambda path: sizes[path])
        directory = _without(directory, parent, code)
        dropped.append(NAMES.get(code, f"tag {code}"))
    return directory, dropped


def _tags(directory: Directory) -> Iterator[tuple[tuple[int, int], Tag]]:
    """Yield the tags of two levels, each with its place: (directory, or 0, and code)."""
    for code, value in directory.items():
        if isinstance(value, Tag):
            yield (0, code), value
        else:
            for inner, tag in value.items():
                # What lies deeper counts as one.
                yield (code, inner), tag if isinstance(tag, Tag) else Tag(UNDEFINED, encode(tag))


def _without(directory: Directory, parent: int, code: int) -> Directory:
    inner = directory.get(parent)
    if not isinstance(inner, dict):
        return {key: value for key, value in directory.items() if key != code}
    return {**directory, parent: {key: value for key, value in inner.items() if key != code}}


def lay(directory: Mapping[int, "Tag | Placed | Directory"], offset: int, big: bool) -> bytes:
    """Return the bytes of a directory, and of all that belongs to it, to lie at `offset`.

    They are little-endian; `big` is the layout of a BigTIFF.
    """
    count, offsets, inline = ("<Q", "<Q", 8) if big else ("<H", "<I", 4)
    entries = struct.pack(count, len(directory))
    end = len(entries) + len(directory) * (4 + 2 * inline) + inline
    behind = b""
    for code in sorted(directory):
        value = directory[code]
        place = offset + end + len(behind)
        if isinstance(value, dict):
            kind, length, data = IFD8 if big else LONG, 1, lay(value, place, big)
        else:
            kind, length = value.kind, value.count
            data = value.field if isinstance(value, Placed) else value.data
        if len(data) > inline or isinstance(value, dict):
            behind += data + bytes(len(data) % 2)
            data = struct.pack(offsets, place)
        entries += struct.pack("<HH", code, kind) + struct.pack(offsets, length)
        entries += data.ljust(inline, b"\0")
    return entries + bytes(inline) + behind


def append(stream: BinaryIO, directory: Directory) -> None:
    """Add tags to the first directory of a little-endian TIFF, which moves to the file's end."""
    reader = _Reader(stream)
    old = dict(reader.placed())
    end = stream.seek(0, io.SEEK_END)
    end += stream.write(bytes(end % 2))
    stream.write(lay({**old, **directory}, end, reader.big))
    stream.seek(8 if reader.big else 4)
    stream.write(struct.pack("<Q" if reader.big else "<I", end))


def text(value: str) -> Tag:
    """Return a text; beyond ASCII it is UTF-8, as most writers have it."""
    return Tag(ASCII, value.encode() + b"\0")


def short(value: int) -> Tag:
    """Return an integer of 16 bits."""
    return Tag(SHORT, struct.pack("<H", value))


def long(value: int) -> Tag:
    """Return an integer of 32 bits."""
    return Tag(LONG, struct.pack("<I", value))


def rational(value: float) -> Tag:
    """Return a positive number, with a denominator of at most 100."""
    fraction = Fraction(value).limit_denominator(100)
    return Tag(RATIONAL, struct.pack("<2I", fraction.numerator, fraction.denominator))


def content(tag: "Tag | Directory | None") -> bytes:
    """Return a value's bytes; there are none where there is no value."""
    return tag.data if isinstance(tag, Tag) else b""


def integer(directory: Directory, code: int, otherwise: int) -> int:
    """Return a tag's first integer of 16 or 32 bits."""
    tag = directory.get(code)
    if isinstance(tag, Tag) and tag.kind in {SHORT, LONG} and tag.count:
        return int.from_bytes(tag.data[: SIZES[tag.kind]], "little")
    return otherwise


def resolution(directory: Directory) -> tuple[float, float] | None:
    """Return the horizontal and vertical dots per inch."""
    values = []
    for code in (X_RESOLUTION, Y_RESOLUTION):
        tag = directory.get(code)
        if not isinstance(tag, Tag) or tag.kind != RATIONAL or not tag.count:
            return None
        over, under = struct.unpack("<2I", tag.data[:8])
        values.append(over / under if under else 0.0)
    scale = {INCH: 1.0, CENTIMETRE: 2.54}.get(integer(directory, RESOLUTION_UNIT, INCH), 0.0)
    return values[0] * scale, values[1] * scale


class _Reader:
    """Reads the directories of one file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.rest = MAX_BYTES
        self.visited: set[int] = set()
        stream.seek(0)
        magic = stream.read(4)
        self.order = {b"II": "<", b"MM": ">"}[magic[:2]]
        self.big = {b"*\0": False, b"+\0": True}[magic[2:] if self.order == "<" else magic[:1:-1]]
        self.inline = 8 if self.big else 4

    def first(self) -> Directory:
        self.stream.seek(8 if self.big else 4)
        return self.directory(self.offset(), 0)

    def placed(self) -> Iterator[tuple[int, Placed]]:
        self.stream.seek(8 if self.big else 4)
        self.stream.seek(self.offset())
        for _ in range(self.number("Q" if self.big else "H")):
            code, kind, count = self.number("H"), self.number("H"), self.offset()
            yield code, Placed(kind, count, self.stream.read(self.inline))

    def offset(self) -> int:
        return self.number("Q" if self.big else "I")

    def number(self, kind: str) -> int:
        size = struct.calcsize(self.order + kind)
        value: int = struct.unpack(self.order + kind, self.stream.read(size))[0]
        return value

    def directory(self, offset: int, depth: int) -> Directory:
        if offset in self.visited:  # directories that name one another have no end
            return {}
        self.visited.add(offset)
        self.stream.seek(offset)
        count = min(self.number("Q" if self.big else "H"), MAX_TAGS)
        start, size = self.stream.tell(), 4 + 2 * self.inline
        found: Directory = {}
        for index in range(count):
            self.stream.seek(start + index * size)
            try:
                self.entry(found, depth)
            except (struct.error, KeyError, OverflowError):
                continue  # of a broken or unknown kind
        return found

    def entry(self, found: Directory, depth: int) -> None:
        code, kind, count = self.number("H"), self.number("H"), self.offset()
        if depth == 0 and code in PIXELS_ONLY:
            return
        if code in DIRECTORIES and depth < 2:
            if inner := self.directory(self.offset(), depth + 1):
                found[code] = inner
            return
        size = SIZES[kind] * count
        if size > self.inline:
            self.stream.seek(self.offset())
        if 0 < size <= self.rest:
            data = self.stream.read(size)
            self.rest -= size
            if len(data) == size:
                found[code] = Tag(kind, self.swapped(kind, data))

    def swapped(self, kind: int, data: bytes) -> bytes:
        if self.order == "<" or kind not in SWAPPED:
            return data
        return np.frombuffer(data, f"u{SWAPPED[kind]}").byteswap().tobytes()
