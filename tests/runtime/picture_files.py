"""Files of pictures made by hand, and the colours in them reckoned by hand."""

import functools
import struct
import zlib

import numpy as np
from PIL import ImageCms


def some(height=21, width=34, channels=3, dtype=np.uint8, seed=0):
    largest = np.iinfo(dtype).max
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, largest, shape, dtype, endpoint=True)


def smooth(height=24, width=40):
    """Return colours that JPEG and WebP keep within a few levels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + 4 * x, 200 - 5 * y, 60 + 2 * x + y], axis=2).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def predicted(kind, line, above, step, x):
    left = int(line[x - step]) if x >= step else 0
    upper = int(above[x])
    corner = int(above[x - step]) if x >= step else 0
    if kind == 4:
        guess = left + upper - corner
        return min((left, upper, corner), key=lambda value: abs(guess - value))
    return (0, left, upper, (left + upper) // 2)[kind]


def filtered(rows, step, first=0):
    """Return rows of bytes as PNG filters them: each row by the next of the five filters."""
    out, above = b"", np.zeros(rows.shape[1], np.uint8)
    for number, line in enumerate(rows):
        kind = (number + first) % 5
        guesses = [predicted(kind, line, above, step, x) for x in range(len(line))]
        out += bytes([kind, *((line.astype(int) - guesses) % 256).tolist()])
        above = line
    return out


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
ADAM7.append((1, 0, 2, 1))


def as_rows(array):
    stored = array.astype(array.dtype.newbyteorder(">"))
    return np.frombuffer(stored.tobytes(), np.uint8).reshape(len(array), -1)


def png_bytes(array, chunks=(), interlaced=False, behind=()):
    """Return a PNG of uint8 or uint16 (H, W, 1 to 4), with all filters."""
    height, width, channels = array.shape
    size = array.dtype.itemsize
    parts = [array[y::down, x::across] for y, x, down, across in ADAM7] if interlaced else [array]
    data = b"".join(
        filtered(as_rows(part), channels * size, first)
        for first, part in enumerate(parts)
        if part.size
    )
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">2I5B", width, height, 8 * size, kind, 0, 0, int(interlaced))
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), *behind, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in body)


def png_chunks(data):
    """Return (kind, data) of each chunk."""
    found, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert data[place + 8 + length :][:4] == struct.pack(">I", zlib.crc32(kind + content))
        found.append((kind, content))
        place += 12 + length
    return found


def srgb_profile():
    return bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


@functools.cache
def swapped():
    """Return an sRGB profile whose red and green have changed places."""
    profile = srgb_profile()
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


# X, Y and Z of red, green and blue; white is D50.
ADOBE = np.array(
    [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
)
SRGB = np.array(
    [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
)


def adobe():
    """Return an sRGB profile that has Adobe RGB's primaries."""
    profile = srgb_profile()
    for number, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        entry = profile.index(name)
        place = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
        profile[place : place + 12] = struct.pack(">3i", *(round(v * 65536) for v in ADOBE[number]))
    return bytes(profile)


def linear(levels):
    values = levels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(light):
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def grey_profile(gamma):
    """Return a grey profile by hand: a white point and a power for a curve."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    words = b"text\0\0\0\0grey\0\0\0\0"
    elements = {b"wtpt": white, b"kTRC": curve, b"cprt": words, b"desc": words}
    place, table, data = 132 + 12 * 4, struct.pack(">I", 4), b""
    for name, element in elements.items():
        table += struct.pack(">4sII", name, place + len(data), len(element))
        data += element
    header = struct.pack(">I4sI", place + len(data), b"lcms", 0x02400000) + b"mntrGRAYXYZ "
    header += struct.pack(">6H", 2024, 5, 6, 7, 8, 9) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + table + data
