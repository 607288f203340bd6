"""Files of pictures decoded: where the samples are, upright, and what the file says of them."""

import contextlib
import dataclasses
import io
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from tn_runtime import exif, icc, tiff
from tn_runtime.errors import PictureError
from tn_runtime.exif import Directory
from tn_runtime.pixels import Pixels

WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes with one channel of more than 8 bits."""

WITHOUT_ALPHA = {
    "1": ["L"],
    "LA": ["L"],
    "La": ["LA", "L"],
    "P": ["RGB"],
    "PA": ["RGBA", "RGB"],
    "RGBA": ["RGB"],
    "RGBX": ["RGB"],
    "RGBa": ["RGBA", "RGB"],
}
"""Conversions of Pillow that leave the colours alone; those in small letters are premultiplied."""

Samples = NDArray[Any]
"""uint8 or uint16."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a photo upright, by its EXIF orientation."""

SIDEWAYS = (5, 6, 7, 8)

HIGH, LOW = (";16L", ";16B") if sys.byteorder == "little" else (";16B", ";16L")
"""What keeps the high and the low bytes of numbers in this machine's own order."""
HALVES = {
    "RGB;16B": ("RGB;16B", "RGB;16L"),
    "RGBA;16B": ("RGBA;16B", "RGBA;16L"),
    "LA;16B": ("RGBA",),
    "RGB;16N": (f"RGB{HIGH}", f"RGB{LOW}"),
    "RGBA;16N": (f"RGBA{HIGH}", f"RGBA{LOW}"),
}
"""How Pillow gives up all 16 bits: by its raw mode for the file, which keeps the high bytes alone,
those that yield the high and the low bytes, or all four bytes of grey with alpha.
"""

OTHER_COLOURS = ("CMYK", "LAB")
"""Modes whose profiles do not fit RGB."""

XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")
XMP_THUMBNAILS = re.compile(rb"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails>", re.DOTALL)

NO_PLAIN_TEXT = ("XML:com.adobe.xmp", "Raw profile type ")
"""Beginnings of a PNG's texts that hold EXIF, XMP and the like."""


@dataclass(frozen=True)
class About:
    """What a photo's file says about it; kept as far as the written format has a place for it."""

    profile: bytes | None = None
    """ICC; None is sRGB."""
    exif: Directory = field(default_factory=dict)
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    """Horizontal, vertical."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Of a PNG."""


class Source(Protocol):
    """Where a photo's samples are."""

    height: int
    width: int
    depth: int
    has_alpha: bool

    def colors(self, top: int, bottom: int) -> Samples:
        """Return (rows, W, 3), RGB."""

    def alpha(self, top: int, bottom: int) -> Samples:
        """Return (rows, W), of a photo that has alpha."""


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a picture's file; a pipe is read to its end first.

    Raises:
        PictureError: missing, unreadable, empty or a folder.
    """
    if Path(path).is_dir():
        raise PictureError(f"{path} is a folder; name a picture")
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - errors of the body are not of this
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        stream: BinaryIO = file if file.seekable() else io.BytesIO(file.read())
        try:
            empty = not stream.read(1)
        except OSError as error:
            raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
        if empty:
            raise PictureError(f"{path} is empty; copy the picture again")
        stream.seek(0)
        yield stream


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], way_out: str = "scale it down") -> Iterator[None]:
    """Make errors of the body, which decodes `path`, a PictureError; there are no warnings.

    Raises:
        PictureError: damaged, too large, or not a picture.
        MemoryError: there is not enough for a picture that may be sound.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses twice that; the refusal is enough.
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path} is too large a picture: {error}; {way_out}") from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{path} is not a picture that can be read; convert it to PNG or JPEG"
        ) from error
    except (MemoryError, PictureError):
        raise
    except Exception as error:  # decoders fail on damaged files in every way there is
        raise PictureError(
            f"{path} is damaged, or no kind of picture that can be read: {error}"
        ) from error


def decode(stream: BinaryIO, max_pixels: int) -> tuple[Source, About]:
    """Decode the first picture of a file, whatever Pillow or tifffile can read.

    A pixel takes up to 4 bytes, with 16 bits up to 8.

    Raises:
        DecompressionBombError: more than `max_pixels`, by the header.
        Exception: a damaged file, of any kind; `reading` makes one of it.
    """
    magic = stream.read(4)
    try:
        picture = _open(stream, max_pixels)
    except UnidentifiedImageError:
        if magic in tiff.MAGIC:
            return _deep_tiff(stream, max_pixels)
        raise
    if isinstance(picture, TiffImageFile) and not _easy(picture):
        return _deep_tiff(stream, max_pixels)
    if _raw_mode(picture) in HALVES:
        return _halved(stream, picture, max_pixels)
    _load(picture)
    return _shallow(picture, *_about(stream, picture))


def _easy(picture: TiffImageFile) -> bool:
    """Tell whether Pillow is to read a TIFF: one of 8 bits, and few of more.

    Of these it garbles channels that are stored apart, and knows fewer types than tifffile, which
    has no LZW without imagecodecs, and no CMYK.
    """
    if max(picture.tag_v2.get(ExifTags.Base.BitsPerSample, (8,))) <= 8:
        return True
    if picture.tag_v2.get(ExifTags.Base.PlanarConfiguration, 1) != 1:
        return False
    lzw = picture.info.get("compression") == "tiff_lzw"
    white = picture.tag_v2.get(ExifTags.Base.PhotometricInterpretation)
    grey = picture.mode.startswith("I;16") and white
    return picture.mode == "CMYK" or (lzw and (_raw_mode(picture) in HALVES or bool(grey)))


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    if not isinstance(picture, PngImageFile | TiffImageFile) or not picture.tile:
        return ""
    arguments = picture.tile[0].args
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _open(stream: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    stream.seek(0)
    with _any_size():
        picture = Image.open(stream)
    if picture.width * picture.height > max_pixels:
        size = f"{picture.width}x{picture.height}"
        raise Image.DecompressionBombError(f"{size} is more than {max_pixels} pixels")
    return picture


def _load(picture: ImageFile.ImageFile) -> None:
    # Of a TIFF Pillow judges the size here again; formats with pictures in pictures are left to it.
    with _any_size() if isinstance(picture, TiffImageFile) else contextlib.nullcontext():
        picture.load()


_lock = threading.RLock()


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """Keep Pillow from judging sizes: its limit is the whole process's, and ours an argument."""
    with _lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _shallow(picture: Image.Image, about: About, orientation: int) -> tuple[Source, About]:
    """Return the photo of what Pillow reads right."""
    if picture.mode.startswith("I;16"):
        key = picture.info.get("transparency")
        return DeepSource([_turned(picture, orientation)], key), _of_grey(about)
    if picture.mode in WIDE_MODES:
        picture = Image.fromarray(to_bytes(np.asarray(picture)))
    mode = WITHOUT_ALPHA.get(picture.mode, [picture.mode])[-1]
    fitting = _of_grey(about) if mode == "L" else about
    to_rgb = None
    if mode in OTHER_COLOURS or icc.ways(fitting.profile) is None:
        to_rgb = icc.srgb_transform(mode, about.profile)
        fitting = dataclasses.replace(about, profile=None)
    return PillowSource(_turned(picture, orientation), to_rgb), fitting


def _of_grey(about: About) -> About:
    """Return what is said of grey samples that become RGB."""
    return dataclasses.replace(about, profile=icc.rgb_of_grey(about.profile))


def _halved(
    stream: BinaryIO, picture: ImageFile.ImageFile, max_pixels: int
) -> tuple[Source, About]:
    """Read 16 bits by way of Pillow's raw modes of 8."""
    halves = []
    for mode in HALVES[_raw_mode(picture)]:
        half = _open(stream, max_pixels)
        codec = half.tile[0]
        rest = codec.args[1:] if isinstance(codec.args, tuple) else None
        half.tile = [codec._replace(args=mode if rest is None else (mode, *rest))]
        _load(half)
        about, orientation = _about(stream, half)  # after _load(): chunks may follow the pixels
        halves.append(_turned(half, orientation))
        del half
    if len(halves) == 1:
        about = _of_grey(about)
    return DeepSource(halves, picture.info.get("transparency")), about


def _deep_tiff(stream: BinaryIO, max_pixels: int) -> tuple[Source, About]:
    page = tiff.read_tiff(stream, max_pixels)
    about, orientation = _about(stream, None)
    alpha = None if page.alpha is None else _turned_array(_opacity(page.alpha), orientation)
    values = _turned_array(_known(page.values), orientation)
    if values.shape[2] == 1:
        about = _of_grey(about)
    return ArraySource(values, alpha, page.premultiplied), about


def _known(values: Samples) -> Samples:
    """Return uint16 as it is, and other types as uint8."""
    return values if values.dtype == np.uint16 else to_bytes(values)


def _opacity(values: Samples) -> Samples:
    """Do as `_known` for alpha, of which the largest integer is opaque, whatever the others are."""
    if values.dtype.kind == "u" and values.dtype.itemsize > 2:
        return to_bytes(values / np.iinfo(values.dtype).max)
    return _known(values)


def _about(stream: BinaryIO, picture: Image.Image | None) -> tuple[About, int]:
    """Return what the file of a picture says, and its orientation, 1 to 8.

    None is a TIFF that Pillow does not read.
    """
    info = {} if picture is None else picture.info
    profile, xmp = info.get("icc_profile"), info.get("xmp") or b""
    if picture is None or isinstance(picture, TiffImageFile):
        tags = exif.read(stream)
        profile, xmp = (exif.content(tags.pop(code, None)) for code in (exif.PROFILE, exif.XMP))
    else:
        tags = exif.decode(_exif_block(info))
    turn = XMP_ORIENTATION.search(xmp)
    orientation = exif.integer(tags, exif.ORIENTATION, int(turn[2]) if turn else 1)
    if exif.ORIENTATION in tags:
        tags[exif.ORIENTATION] = exif.short(1)
    dpi = _sound(_resolution(picture) or exif.resolution(tags))
    about = About(
        profile or None,
        tags,
        XMP_THUMBNAILS.sub(b"", XMP_ORIENTATION.sub(rb"\g<1>1", xmp)),
        dpi[::-1] if dpi and orientation in SIDEWAYS else dpi,
        _texts(picture),
    )
    return about, orientation


def _resolution(picture: Image.Image | None) -> tuple[float, float] | None:
    """Return what the file says beside EXIF; of a JPEG that says nothing Pillow says 72."""
    silent = isinstance(picture, JpegImageFile) and not picture.info.get("jfif_unit")
    dpi: tuple[float, float] | None = None if picture is None else picture.info.get("dpi")
    return None if silent else dpi


def _exif_block(info: dict[Any, Any]) -> bytes:
    if raw := info.get("Raw profile type exif"):  # ImageMagick's, in PNGs before eXIf was there
        with contextlib.suppress(ValueError):
            return bytes.fromhex("".join(raw.split("\n")[3:]))
    block: bytes = info.get("exif") or b""
    return block


def _sound(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    if dpi is None:
        return None
    across, down = float(dpi[0]), float(dpi[1])
    return (across, down) if all(1 <= dots <= 60000 for dots in (across, down)) else None


def _texts(picture: Image.Image | None) -> dict[str, str]:
    if not isinstance(picture, PngImageFile):
        return {}
    texts = {key: str(text) for key, text in picture.text.items() if isinstance(text, str)}
    return {key: text for key, text in texts.items() if not key.startswith(NO_PLAIN_TEXT)}


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    if isinstance(picture, TiffImageFile):
        orientation = picture.getexif().get(exif.ORIENTATION, 1)  # 1 once Pillow has turned it
    turn = TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _turned_array(array: Samples, orientation: int) -> Samples:
    """Return a view."""
    if orientation in SIDEWAYS:
        array = array.swapaxes(0, 1)
    down = -1 if orientation in {3, 4, 7, 8} else 1
    across = -1 if orientation in {2, 3, 6, 7} else 1
    return array[::down, ::across]


class ArraySource:
    """Samples in arrays of uint8 or uint16.

    (H, W, 1), (H, W, 3), or (H, W, 4) with alpha, which may be apart, too: (H, W).
    """

    def __init__(
        self, values: Samples, alpha: Samples | None = None, premultiplied: bool = False
    ) -> None:
        self.height, self.width, channels = values.shape
        self.depth = 8 * values.dtype.itemsize
        if channels == 4:
            values, alpha = values[..., :3], values[..., 3]
        self.has_alpha = alpha is not None
        self._values, self._alpha, self._premultiplied = values, alpha, premultiplied

    def colors(self, top: int, bottom: int) -> Samples:
        """Return (rows, W, 3), RGB."""
        values = self._values[top:bottom]
        if self._premultiplied:
            values = _unmultiplied(values, self.alpha(top, bottom))
        return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), order="C")

    def alpha(self, top: int, bottom: int) -> Samples:
        """Return (rows, W)."""
        assert self._alpha is not None
        return np.array(self._alpha[top:bottom], order="C")


def _unmultiplied(values: Samples, alpha: Samples) -> Samples:
    """Divide by alpha, which leaves colours under alpha 0 as they are."""
    largest = np.iinfo(values.dtype).max
    divisor = np.where(alpha == 0, largest, alpha).astype(np.float64)
    quotient = np.rint(values * (largest / divisor)[..., None])
    return quotient.clip(0, largest).astype(values.dtype)


class PillowSource:
    """Samples of 8 bits in a picture of Pillow, of any mode."""

    depth = 8

    def __init__(
        self, picture: Image.Image, to_rgb: ImageCms.ImageCmsTransform | None = None
    ) -> None:
        self.height, self.width = picture.height, picture.width
        self.has_alpha = picture.has_transparency_data
        self._picture, self._to_rgb = picture, to_rgb

    def colors(self, top: int, bottom: int) -> Samples:
        """Return (rows, W, 3), RGB."""
        band = self._band(top, bottom)
        for mode in WITHOUT_ALPHA.get(band.mode, []):
            band = band.convert(mode)
        if self._to_rgb is not None:
            return np.array(ImageCms.applyTransform(band, self._to_rgb))
        return np.array(band.convert("RGB"))

    def alpha(self, top: int, bottom: int) -> Samples:
        """Return (rows, W)."""
        band = self._band(top, bottom)
        if band.getbands()[-1] not in {"A", "a"}:  # colours of a palette, or one colour
            band = band.convert("RGBA")
        return np.array(band.getchannel(band.getbands()[-1]))

    def _band(self, top: int, bottom: int) -> Image.Image:
        with _any_size():
            return self._picture.crop((0, top, self.width, bottom))


class DeepSource:
    """Samples of 16 bits in pictures of Pillow.

    One of mode I;16: grey. One of RGBA: grey and alpha, the high byte of each first. Two: the high
    bytes and the low bytes. `key` is a colour, or a grey, that is transparent.
    """

    depth = 16

    def __init__(self, pictures: list[Image.Image], key: int | tuple[int, ...] | None) -> None:
        self.height, self.width = pictures[0].height, pictures[0].width
        self._pictures, self._key = pictures, key
        self.has_alpha = key is not None or pictures[0].mode == "RGBA"

    def colors(self, top: int, bottom: int) -> Samples:
        """Return (rows, W, 3), RGB."""
        values = self._values(top, bottom)
        if values.shape[2] >= 3:
            return np.ascontiguousarray(values[..., :3])
        return np.repeat(values[..., :1], 3, axis=2)

    def alpha(self, top: int, bottom: int) -> Samples:
        """Return (rows, W)."""
        values = self._values(top, bottom)
        if self._key is None:
            return np.ascontiguousarray(values[..., -1])
        shown = (values != np.array(self._key)).any(axis=2)
        return np.where(shown, np.uint16(65535), np.uint16(0))

    def _values(self, top: int, bottom: int) -> Samples:
        """Return uint16 (rows, W, channels)."""
        with _any_size():
            bands = [
                np.asarray(picture.crop((0, top, self.width, bottom))) for picture in self._pictures
            ]
        if len(bands) == 2:
            return np.asarray(bands[0].astype(np.uint16) << 8 | bands[1])
        if bands[0].ndim == 3:
            return bands[0].view(">u2").astype(np.uint16)
        return bands[0].astype(np.uint16)[..., None]


def to_bytes(values: NDArray[Any]) -> Pixels:
    """Scale values of any type to uint8."""
    if _is_unsigned(values, 1):
        return np.ascontiguousarray(values)
    low, high = _range(values)
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that mean black and white."""
    if _is_unsigned(values, 2):
        return 0.0, 65535.0
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("it holds values that are not finite numbers")
    nominal = 65535.0 if values.dtype.kind in "iu" else 1.0
    if low >= 0 and high <= nominal:
        return 0.0, nominal
    return low, high if high > low else low + 1


def _is_unsigned(values: NDArray[Any], size: int) -> bool:
    return values.dtype.kind == "u" and values.dtype.itemsize == size  # in either byte order


def to_8_bits(samples: NDArray[Any]) -> Pixels:
    """Round uint16 to uint8; uint8 stays as it is."""
    if samples.dtype.itemsize == 1:
        return samples
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
