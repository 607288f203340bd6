"""EXIF: directories of tags, as TIFF 6.0 has them; read, changed and written again.

Kept by hand: Pillow guesses the type of each tag that it writes ("Söhne" becomes "S??hne"), and
stumbles over tags that are not as the standard has them; libvips and piexif drop tags that they do
not know; tifffile writes no EXIF. Here a tag that nobody changes keeps its type and its bytes.
"""

import copy
import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple

import numpy as np

HEADER = b"Exif\0\0"
"""JPEG, and some writers of PNG and WebP, put this before the directories."""

DESCRIPTION, ORIENTATION, SOFTWARE = 270, 274, 305
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
XMP, PROFILE = 700, 34675
EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965
VERSION, USER_COMMENT, PIXEL_WIDTH, PIXEL_HEIGHT = 36864, 37510, 40962, 40963
"""Codes of tags."""
DIRECTORIES = (EXIF, GPS, INTEROPERABILITY)
NAMES = {37500: "the maker's note", USER_COMMENT: "the comment", DESCRIPTION: "the description"}
"""Tags that can be large."""

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD8 = 1, 2, 3, 4, 5, 7, 18
"""Types of values."""
SIZES = dict(zip(range(1, 19), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8), strict=True))
"""Bytes of a value, by type."""
SWAPPED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Size in bytes of the unit whose bytes the order swaps, by type."""
INCH, CENTIMETRE = 2, 3

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


class Layout(NamedTuple):
    """How directories lie in a file, as `struct` says it."""

    number: str
    """How many entries there are."""
    entry: str
    """Code, type and number of values; then the values, or their place if they are longer."""
    place: str


CLASSIC, BIG = Layout("H", "HHI4s", "I"), Layout("Q", "HHQ8s", "Q")
"""TIFF with EXIF, and BigTIFF."""


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
    """A value that already lies in a file, as the entry of its directory has it."""

    kind: int
    count: int
    data: bytes
    """The value itself if it is short, its place otherwise."""


Directory = dict[int, "Tag | Directory"]
"""Tags by code; EXIF, GPS and INTEROPERABILITY are directories themselves."""


def read(data: bytes) -> Directory:
    """Read the first directory of a TIFF or of an EXIF block, and those within; {} if it is none.

    The thumbnail (the second directory) and whatever cannot be read are left out.
    """
    data = data.removeprefix(HEADER)
    try:
        return _Reader(data).first()
    except (struct.error, KeyError, OverflowError):
        return {}


def encode(directory: Directory) -> bytes:
    """Return an EXIF block without its header, little-endian; empty for an empty directory."""
    return b"II*\0" + struct.pack("<I", 8) + _laid(directory, 8, CLASSIC) if directory else b""


def append(stream: BinaryIO, directory: Directory, big: bool) -> None:
    """Add tags to the first directory of a little-endian TIFF, which moves to the file's end."""

    def unpack(form: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))

    layout = BIG if big else CLASSIC
    stream.seek(8 if big else 4)
    stream.seek(*unpack(layout.place))
    entries = [unpack(layout.entry) for _ in range(*unpack(layout.number))]
    old = {code: Placed(*rest) for code, *rest in entries}
    end = stream.seek(0, io.SEEK_END)
    end += stream.write(bytes(end % 2))
    stream.write(_laid({**old, **directory}, end, layout))
    stream.seek(8 if big else 4)
    stream.write(struct.pack("<" + layout.place, end))


def fitted(directory: Directory, limit: int) -> tuple[Directory, list[str]]:
    """Leave out the largest tags until the block has at most `limit` bytes; name them."""
    directory, dropped = copy.deepcopy(directory), []
    while len(encode(directory)) > limit:
        _, code, holder = max(_sizes(directory), key=lambda found: found[0])
        del holder[code]
        dropped.append(NAMES.get(code, f"tag {code}"))
    return directory, dropped


def _sizes(directory: Directory) -> Iterator[tuple[int, int, Directory]]:
    """Yield each tag's size, its code, and the directory that has it."""
    for code, value in directory.items():
        if isinstance(value, dict):
            yield from _sizes(value)
        else:
            yield len(value.data), code, directory


def _laid(
    directory: Mapping[int, "Tag | Placed | Directory"], offset: int, layout: Layout
) -> bytes:
    """Return the bytes of a directory, and of all that belongs to it, to lie at `offset`."""
    number, entry, place = (f"<{part}" for part in layout)
    inline = struct.calcsize(place)
    entries, values = struct.pack(number, len(directory)), b""
    start = offset + len(entries) + len(directory) * struct.calcsize(entry) + inline
    for code in sorted(directory):
        value, here = directory[code], start + len(values)
        if isinstance(value, dict):
            kind, count = LONG if layout == CLASSIC else IFD8, 1
            data = _laid(value, here, layout)
        else:
            kind, count, data = value.kind, value.count, value.data
        if len(data) > inline or isinstance(value, dict):
            values += data + bytes(len(data) % 2)
            data = struct.pack(place, here)
        entries += struct.pack(entry, code, kind, count, data)
    return entries + bytes(inline) + values


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

    def __init__(self, data: bytes) -> None:
        self.data, self.left, self.visited = data, MAX_BYTES, set[int]()
        self.order = {b"II": "<", b"MM": ">"}[data[:2]]
        self.layout = {42: CLASSIC, 43: BIG}[self.unpack("H", 2)[0]]

    def unpack(self, form: str, place: int) -> tuple[Any, ...]:
        return struct.unpack_from(self.order + form, self.data, place)

    def size(self, form: str) -> int:
        return struct.calcsize(self.order + form)

    def first(self) -> Directory:
        [place] = self.unpack(self.layout.place, 8 if self.layout == BIG else 4)
        return self.directory(place, 0)

    def directory(self, place: int, depth: int) -> Directory:
        if place in self.visited:  # directories that name one another have no end
            return {}
        self.visited.add(place)
        number, entry, _ = self.layout
        start, step = place + self.size(number), self.size(entry)
        found: Directory = {}
        for index in range(min(*self.unpack(number, place), MAX_TAGS)):
            try:
                code, kind, count, field = self.unpack(entry, start + index * step)
                if value := self.value(code, kind, count, field, depth):
                    found[code] = value
            except (struct.error, KeyError, OverflowError):
                continue  # of a broken or unknown kind
        return found

    def value(
        self, code: int, kind: int, count: int, field: bytes, depth: int
    ) -> "Tag | Directory | None":
        [place] = struct.unpack(self.order + self.layout.place, field)
        if code in DIRECTORIES and depth < 2:
            return self.directory(place, depth + 1)
        size = SIZES[kind] * count
        if (depth == 0 and code in PIXELS_ONLY) or not 0 < size <= self.left:
            return None
        data = field[:size] if size <= len(field) else self.data[place : place + size]
        self.left -= size
        if len(data) < size:
            return None
        if self.order == ">" and kind in SWAPPED:
            data = np.frombuffer(data, f"u{SWAPPED[kind]}").byteswap().tobytes()
        return Tag(kind, data)
