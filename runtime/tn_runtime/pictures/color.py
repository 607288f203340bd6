"""Colours: the ways from a picture's own to sRGB and back, by ICC profiles (ICC.1:2022).

Whatever a file says about its colours becomes an ICC profile of RGB, since all four formats that
are written have a place for one. lcms (Pillow's ImageCms) converts by profiles, but makes none from
primaries or from a profile of grey, and libvips brings three ready ones: those are put together
here.
"""

import functools
import io
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tn_runtime.pixels import Pixels

Transform = ImageCms.ImageCmsTransform
Own = Literal["LAB", "sRGB"]
"""Names of profiles that lcms brings."""

HEADER_BYTES = 128
SPACE, CONNECTION, DATE = slice(16, 20), slice(20, 24), slice(24, 36)
"""Places in the header."""
CURVES = (b"rTRC", b"gTRC", b"bTRC")
COLORANTS = (b"rXYZ", b"gXYZ", b"bXYZ")
OF_SRGB_ALONE = (b"chad", b"chrm")
"""Elements of lcms' sRGB profile that are not true of other primaries."""
NO_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
"""A profile made here has the same bytes every day."""

D65 = (0.3127, 0.3290)
D50 = np.array([0.9642, 1.0, 0.8249])
"""X, Y, Z of the white of all profiles."""
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

Primaries = Sequence[float]
"""x and y of red, green, blue and white (CIE 1931)."""
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
CODED_PRIMARIES: dict[int, Primaries] = {
    1: SRGB,
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    9: (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, *D65),
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65),
}
"""By their code in ITU-T H.273."""
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of H.273 whose white is not the brightest."""
SRGB_TRANSFER = 13
SDR_WHITE = 203.0
"""cd/m2: diffuse white in HDR (ITU-R BT.2408); what is brighter is cut."""


@dataclass(frozen=True)
class Coded:
    """Colours as PNG's cICP and the nclx of AVIF and HEIC code them (ITU-T H.273)."""

    primaries: int
    transfer: int

    @classmethod
    def of_boxes(cls, data: bytes) -> Self | None:
        """Find the colours of an AVIF or HEIC.

        The first are those of the picture: writers put its properties before those of its gain
        map.
        """
        found = re.search(rb"colrnclx(..)(..)", data, re.DOTALL)
        return cls(*(int.from_bytes(code, "big") for code in found.groups())) if found else None

    @property
    def profile(self) -> bytes | None:
        """An ICC profile of the same colours; None for sRGB and for codes that are not known."""
        primaries, curve = CODED_PRIMARIES.get(self.primaries), _coded_curve(self.transfer)
        if primaries is None or curve is None:
            return None
        if primaries == SRGB and self.transfer == SRGB_TRANSFER:
            return None
        return _profile(primaries, curve)

    @property
    def hdr(self) -> str | None:
        """The name of an HDR transfer function, None for any other."""
        return HDR.get(self.transfer)


@dataclass(frozen=True)
class Gamma:
    """Colours as PNG's gAMA, the encoding exponent, and cHRM say them."""

    exponent: float
    primaries: Primaries = SRGB

    @property
    def profile(self) -> bytes | None:
        """An ICC profile of the same colours; None for sRGB and for what has no meaning.

        As in libpng, an exponent within 5% of 1 / 2.2 beside the primaries of sRGB is sRGB.
        """
        near = abs(self.exponent * 2.2 - 1) < 0.05
        same = np.allclose(self.primaries, SRGB, atol=0.002)
        if (same and near) or not 0.01 <= self.exponent <= 10:
            return None
        try:
            return _profile(self.primaries, _srgb_curve() if near else _power(1 / self.exponent))
        except (np.linalg.LinAlgError, ZeroDivisionError, struct.error):
            return None  # primaries that span no colours


def transforms(profile: bytes | None) -> tuple[Transform, Transform] | None:
    """Return the ways from a profile's RGB to sRGB, and back; None if either is missing."""
    if not profile:
        return None
    there, back = _transform("RGB", profile, "sRGB"), _transform("RGB", "sRGB", profile)
    return (there, back) if there and back else None


def to_rgb(
    mode: str, profile: bytes | None
) -> tuple[Callable[[Pixels], Pixels] | None, bytes | None]:
    """Return how colours of a mode of Pillow become RGB, or grey, and the profile of that.

    The first is None where the samples stay as they are: grey, RGB without a profile, and RGB whose
    profile knows the way back from sRGB, or is broken; viewers ignore those. The rest becomes sRGB.
    """
    if mode == "L" or (mode == "RGB" and (not profile or transforms(profile))):
        return None, profile
    source: bytes | Own | None = profile or ("LAB" if mode == "LAB" else None)
    transform = _transform(mode, source, "sRGB") if source else None
    if mode == "RGB" and transform is None:
        return None, None
    return functools.partial(converted, mode=mode, transform=transform), None


def converted(colors: Pixels, transform: Transform | None, mode: str = "RGB") -> Pixels:
    """Convert uint8 (rows, W, channels), a mode of Pillow, to RGB; plainly without a transform."""
    band = Image.frombytes(mode, colors.shape[1::-1], np.ascontiguousarray(colors).tobytes())
    return np.array(ImageCms.applyTransform(band, transform) if transform else band.convert("RGB"))


def _transform(mode: str, source: bytes | Own, target: bytes | Own) -> Transform | None:
    """Return the way from a mode of Pillow to RGB; None if a profile is broken or unfit."""

    def opened(profile: bytes | Own) -> Any:  # noqa: ANN401 - of several types
        if isinstance(profile, bytes):
            return ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.createProfile(profile)

    try:
        return ImageCms.buildTransform(opened(source), opened(target), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):  # a profile of a scanner may know one way only
        return None


def rgb_of_grey(profile: bytes | None) -> bytes | None:
    """Return an RGB profile that shows equal samples as a grey profile shows one.

    It has the primaries of sRGB and the curve of the grey profile. None for other profiles, and for
    those whose curve means lightness.
    """
    if profile is None or profile[SPACE] != b"GRAY" or profile[CONNECTION] != b"XYZ ":
        return None
    grey = _elements(profile)
    if b"kTRC" not in grey:
        return None
    header, elements = _srgb()
    elements |= dict.fromkeys(CURVES, grey[b"kTRC"])
    elements |= {name: grey[name] for name in (b"desc", b"cprt") if name in grey}
    built = _built(header, profile[DATE], elements)
    return built if transforms(built) else None


def _srgb() -> tuple[bytes, dict[bytes, bytes]]:
    """Return header and elements of lcms' sRGB profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:HEADER_BYTES], _elements(profile)


def _profile(primaries: Primaries, curve: bytes) -> bytes:
    header, elements = _srgb()
    for name in OF_SRGB_ALONE:
        elements.pop(name, None)
    elements |= dict.fromkeys(CURVES, curve)
    for name, xyz in zip(COLORANTS, _colorants(primaries), strict=True):
        elements[name] = b"XYZ \0\0\0\0" + _fixed(xyz)
    elements[b"desc"] = _words("RGB as coded in the picture's file")
    return _built(header, NO_DATE, elements)


def _colorants(primaries: Primaries) -> NDArray[np.float64]:
    """Return X, Y, Z of red, green and blue, a row each, adapted to D50 (Bradford)."""
    pairs = zip(primaries[::2], primaries[1::2], strict=True)
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in pairs])
    colors, white = xyz[:3], xyz[3]
    light = np.linalg.solve(colors.T, white)[:, None] * colors
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: NDArray[np.float64] = light @ (np.linalg.inv(BRADFORD) @ scale @ BRADFORD).T
    return adapted


def _coded_curve(transfer: int) -> bytes | None:
    if transfer in {1, 6, 14, 15}:  # BT.709
        return _parametric(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
    if transfer in HDR:
        return _sampled(_pq if transfer == 16 else _hlg)
    powers = {4: 2.2, 5: 2.8, 8: 1.0}
    if transfer in powers:
        return _power(powers[transfer])
    return _srgb_curve() if transfer == SRGB_TRANSFER else None


def _pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light, 1 is diffuse white (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = signal ** (1 / m2)
    return 10000 / SDR_WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light, 1 is diffuse white, of which the signal is 0.75 (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    diffuse = (np.exp((0.75 - c) / a) + b) / 12
    scaled: NDArray[np.float64] = (light / diffuse) ** 1.2
    return scaled


def _sampled(function: Any) -> bytes:  # noqa: ANN401 - a function of an array
    light = np.clip(function(np.linspace(0, 1, 4096)), 0, 1)
    values: bytes = np.rint(light * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(values) // 2) + values


def _power(exponent: float) -> bytes:
    return _parametric(0, exponent)


def _parametric(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(values)


def _fixed(values: Any) -> bytes:  # noqa: ANN401 - any sequence of numbers
    """Return numbers of 16 bits before and 16 bits behind the point."""
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _words(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(data), 28) + data


def _srgb_curve() -> bytes:
    return _srgb()[1][b"rTRC"]


def _elements(profile: bytes) -> dict[bytes, bytes]:
    count = int.from_bytes(profile[HEADER_BYTES : HEADER_BYTES + 4], "big")
    table = profile[HEADER_BYTES + 4 :][: 12 * count]
    entries = struct.iter_unpack(">4sII", table[: len(table) // 12 * 12])
    return {name: profile[place : place + size] for name, place, size in entries}


def _built(header: bytes, date: bytes, elements: dict[bytes, bytes]) -> bytes:
    table, data = struct.pack(">I", len(elements)), b""
    start = HEADER_BYTES + 4 + 12 * len(elements)
    for name, element in elements.items():
        table += struct.pack(">4sII", name, start + len(data), len(element))
        data += element + bytes(-len(element) % 4)
    size = struct.pack(">I", start + len(data))
    return size + header[4 : DATE.start] + date + header[DATE.stop :] + table + data
