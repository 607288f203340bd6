"""Photos, read and written so that they keep what they had.

The file's own colour space, 16 bits, alpha, EXIF, XMP and resolution go from the file that is read
into the file that is written, as far as its format has a place for them.
"""

import contextlib
import dataclasses
import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from tn_runtime import exif, tiff
from tn_runtime.errors import PictureError
from tn_runtime.exif import Directory
from tn_runtime.image import (
    DEFAULT_QUALITY,
    FORMATS,
    WIDE_MODES,
    WITHOUT_ALPHA,
    About,
    Picture,
    check_output,
    open_file,
    reading,
    srgb_transform,
    to_8_bits,
    to_bytes,
    write_picture,
    write_stdout,
)
from tn_runtime.image import MAX_PIXELS as MAX_PIXELS  # noqa: PLC0414 - the default here
from tn_runtime.pixels import Pixels

WAY_OUT = "scale it down, or allow more with --max-pixels"

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

OTHER_COLOURS = ("L", "CMYK", "LAB")
"""Modes whose profiles do not fit RGB."""

XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")
XMP_THUMBNAILS = re.compile(rb"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails>", re.DOTALL)

AUTHORS_OWN = frozenset(
    ("Artist", "Author", "Comment", "Copyright", "Description", "ImageDescription", "Title")
)
"""Texts of a photo that what is written about its making does not replace."""
NO_PLAIN_TEXT = ("XML:com.adobe.xmp", "Raw profile type ")
"""Beginnings of a PNG's texts that hold EXIF, XMP and the like."""
COMMENT_CODE = b"ASCII\0\0\0"
"""What EXIF wants before a user comment."""


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


class Photo:
    """A decoded photo, upright, and what its file said about it."""

    height: int
    width: int
    """Pixels."""
    depth: int
    """8 or 16 bits a sample."""
    has_alpha: bool
    about: About

    def __init__(self, source: Source, about: About) -> None:
        self.height, self.width = source.height, source.width
        self.depth, self.has_alpha = source.depth, source.has_alpha
        self._source = source
        self._ways = _ways(about.profile)
        self.about = about if self._ways else dataclasses.replace(about, profile=None)

    @classmethod
    def from_array(cls, array: Samples) -> Self:
        """Return a photo of uint8 or uint16 (H, W, 3), (H, W, 4) with alpha or (H, W), grey.

        The colours are sRGB. The array is not copied.

        Raises:
            PictureError: another shape or dtype.
        """
        channels = {2: 1, 3: array.shape[-1]}.get(array.ndim)
        fits = channels in {3, 4} or array.ndim == 2
        if not fits or 0 in array.shape or array.dtype not in (np.uint8, np.uint16):
            raise PictureError(
                f"an array of {array.dtype} {array.shape} is no photo; "
                "give uint8 or uint16 of (H, W, 3), (H, W, 4) or (H, W)"
            )
        return cls(ArraySource(array.reshape(*array.shape[:2], -1)), About())

    def colors(self, top: int, bottom: int) -> Samples:
        """Return rows of the photo's own RGB, uint8 or uint16 (rows, W, 3), as stored.

        They are not multiplied with alpha.
        """
        return self._source.colors(top, bottom)

    def srgb(self, top: int, bottom: int) -> Pixels:
        """Return rows as uint8 (rows, W, 3), sRGB."""
        rgb = to_8_bits(self.colors(top, bottom))
        return rgb if self._ways is None else _converted(rgb, self._ways[0])

    def alpha(self, top: int, bottom: int) -> Samples:
        """Return rows of alpha, (rows, W) of the dtype of `colors`; its largest value is opaque."""
        if self.has_alpha:
            return self._source.alpha(top, bottom)
        dtype = np.uint16 if self.depth == 16 else np.uint8
        return np.full((bottom - top, self.width), np.iinfo(dtype).max, dtype)

    def from_srgb(self, rgb: Pixels) -> Pixels:
        """Convert uint8 (h, w, 3), sRGB, to the photo's own RGB, 8 bits too."""
        return rgb if self._ways is None else _converted(rgb, self._ways[1])


# Reading


def read_photo(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Read the first picture of a file, whatever Pillow or tifffile can read.

    PNG and TIFF keep 16 bits. Grey, CMYK and LAB become RGB, which is sRGB then. Floats and
    integers of 32 bits become 8 bits, as in `image.read_rgb`. In memory a pixel takes up to 4
    bytes, with 16 bits up to 8; of a JPEG or PNG that its EXIF turns, twice that for a moment.

    Raises:
        PictureError: missing, unreadable, empty, damaged, of more than `max_pixels`, or no picture.
        MemoryError: there is not enough for a picture that may be sound.
    """
    with open_file(path) as stream, reading(path, WAY_OUT):
        return _decode(stream, max_pixels)


def decode_photo(data: bytes, path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo's file as `read_photo` does; `path` is what errors call it."""
    if not data:
        raise PictureError(f"{path} is empty; send a picture")
    with reading(path, WAY_OUT):
        return _decode(io.BytesIO(data), max_pixels)


def _decode(stream: BinaryIO, max_pixels: int) -> Photo:
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


def _shallow(picture: Image.Image, about: About, orientation: int) -> Photo:
    """Return the photo of what Pillow reads right."""
    if picture.mode.startswith("I;16"):
        key = picture.info.get("transparency")
        return Photo(DeepSource([_turned(picture, orientation)], key), about)
    if picture.mode in WIDE_MODES:
        picture = Image.fromarray(to_bytes(np.asarray(picture)))
    mode = WITHOUT_ALPHA.get(picture.mode, [picture.mode])[-1]
    to_rgb = None
    if mode in OTHER_COLOURS or _ways(about.profile) is None:
        to_rgb = srgb_transform(mode, about.profile)
        about = dataclasses.replace(about, profile=None)
    return Photo(PillowSource(_turned(picture, orientation), to_rgb), about)


def _halved(stream: BinaryIO, picture: ImageFile.ImageFile, max_pixels: int) -> Photo:
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
    return Photo(DeepSource(halves, picture.info.get("transparency")), about)


def _deep_tiff(stream: BinaryIO, max_pixels: int) -> Photo:
    page = tiff.read_tiff(stream, max_pixels)
    about, orientation = _about(stream, None)
    alpha = None if page.alpha is None else _turned_array(_known(page.alpha), orientation)
    values = _turned_array(_known(page.values), orientation)
    return Photo(ArraySource(values, alpha, page.premultiplied), about)


def _known(values: Samples) -> Samples:
    """Return uint16 as it is, and other types as uint8."""
    return values if values.dtype == np.uint16 else to_bytes(values)


def _about(stream: BinaryIO, picture: Image.Image | None) -> tuple[About, int]:
    """Return what the file of a picture says, and its orientation, 1 to 8.

    None is a TIFF that Pillow does not read.
    """
    info = {} if picture is None else picture.info
    profile, xmp = info.get("icc_profile"), info.get("xmp") or b""
    if picture is None or isinstance(picture, TiffImageFile):
        tags = exif.read(stream)
        profile, xmp = (_bytes(tags.pop(code, None)) for code in (exif.PROFILE, exif.XMP))
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


def _bytes(tag: "exif.Tag | Directory | None") -> bytes:
    return tag.data if isinstance(tag, exif.Tag) else b""


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


def _ways(
    profile: bytes | None,
) -> tuple[ImageCms.ImageCmsTransform, ImageCms.ImageCmsTransform] | None:
    """Return the ways from a profile's RGB to sRGB, and back; None if either is missing."""
    there = srgb_transform("RGB", profile)
    if there is None or profile is None:
        return None
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        back = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None  # a profile of a scanner may know one way only
    return there, back


def _converted(rgb: Pixels, transform: ImageCms.ImageCmsTransform) -> Pixels:
    band = Image.fromarray(np.ascontiguousarray(rgb))
    return np.array(ImageCms.applyTransform(band, transform))


# Writing


def write_photo(
    path: str | os.PathLike[str],
    photo: Photo,
    bands: Iterable[Samples],
    metadata: Mapping[str, str],
    quality: int | None = None,
) -> None:
    """Write a picture made from a photo, with what the photo's file said about it.

    Args:
        path: its suffix names the format; the file is whole under its name or not there.
        photo: gives the size, the colour space, EXIF, XMP, resolution and texts.
        bands: of the photo's depth, uint8 or uint16 (rows, W, 3) in its own colour space, or
            (rows, W, 4) where it has alpha; the rows add up to its height. PNG and TIFF are written
            as they come; JPEG, which drops alpha, and WebP are put together in memory, 4 bytes a
            pixel, and rounded to 8 bits.
        metadata: how it was made, as in `image.Picture`. The photo's author, title, description
            and copyright stay as they are.
        quality: 1 to 100, of JPEG and WebP.

    Raises:
        PictureError: what `check_photo_output` refuses, or the file cannot be written.
    """
    check_photo_output(path, photo, quality)
    write_picture(path, _picture(photo, bands, metadata, Path(path).suffix, quality))


def write_photo_stdout(photo: Photo, bands: Iterable[Samples], metadata: Mapping[str, str]) -> None:
    """Write a PNG to stdout as its bands come, which are as in `write_photo`.

    Raises:
        OSError: the reader went away, or the disk behind it is full.
    """
    write_stdout(_picture(photo, bands, metadata, ".png"))


def check_photo_output(
    path: str | os.PathLike[str], photo: Photo, quality: int | None = None
) -> None:
    """Refuse what cannot be written, before any work is done.

    Raises:
        PictureError: an unknown suffix, a size beyond the format, or a quality that it has not.
    """
    check_output(path, photo.height, photo.width)
    if quality is None:
        return
    if not FORMATS[Path(path).suffix.lower()].lossy:
        lossy = ", ".join(suffix for suffix, kind in FORMATS.items() if kind.lossy)
        raise PictureError(
            f"{path} keeps every pixel and has no quality {quality}; "
            f"leave it out, or choose one of {lossy}"
        )
    if not 1 <= quality <= 100:
        raise PictureError(f"quality {quality} is out of range; it is 1 to 100")


def keeps_alpha(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file of this name, which can be written, has a place for alpha."""
    return FORMATS[Path(path).suffix.lower()].alpha


def keeps_depth(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file of this name, which can be written, has a place for 16 bits."""
    return not FORMATS[Path(path).suffix.lower()].lossy


def _picture(
    photo: Photo,
    bands: Iterable[Samples],
    metadata: Mapping[str, str],
    suffix: str,
    quality: int | None = None,
) -> Picture:
    about = photo.about
    if about.exif or suffix.lower() != ".png":  # which has texts
        about = dataclasses.replace(about, exif=_exif(photo, metadata))
    own = {key: text for key, text in about.texts.items() if key in AUTHORS_OWN}
    return Picture(
        bands,
        photo.height,
        photo.width,
        {**about.texts, **metadata, **own},
        channels=4 if photo.has_alpha else 3,
        depth=photo.depth,
        about=about,
        quality=DEFAULT_QUALITY if quality is None else quality,
    )


def _exif(photo: Photo, metadata: Mapping[str, str]) -> Directory:
    """Return the photo's EXIF, with its new size, and with who made it and how."""
    tags = dict(photo.about.exif)
    shot = tags.get(exif.EXIF)
    shot = (
        dict(shot) if isinstance(shot, dict) else {exif.VERSION: exif.Tag(exif.UNDEFINED, b"0232")}
    )
    if exif.PIXEL_WIDTH in shot and exif.PIXEL_HEIGHT in shot:
        shot[exif.PIXEL_WIDTH] = exif.long(photo.width)
        shot[exif.PIXEL_HEIGHT] = exif.long(photo.height)
    if not _comment(shot):
        note = COMMENT_CODE + json.dumps(dict(metadata)).encode()
        shot[exif.USER_COMMENT] = exif.Tag(exif.UNDEFINED, note)
    tags[exif.EXIF] = shot
    tags[exif.SOFTWARE] = exif.text(metadata.get("Software", ""))
    if photo.about.dpi:
        across, down = photo.about.dpi
        tags[exif.X_RESOLUTION], tags[exif.Y_RESOLUTION] = map(exif.rational, (across, down))
        tags[exif.RESOLUTION_UNIT] = exif.short(exif.INCH)
    return tags


def _comment(shot: Directory) -> bytes:
    """Return what a person wrote; cameras fill the place with blanks."""
    return _bytes(shot.get(exif.USER_COMMENT))[len(COMMENT_CODE) :].strip(b" \0")
