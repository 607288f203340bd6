"""The only place, with `photo.py`, where pictures are read and written.

Whatever comes in here becomes 8-bit sRGB (there a photo keeps what it had); whatever goes out is
whole under its final name, or not there.
"""

import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from tn_runtime import exif, png, tiff
from tn_runtime.errors import PictureError
from tn_runtime.exif import Directory
from tn_runtime.files import atomic
from tn_runtime.pixels import Pixels as Pixels  # noqa: PLC0414 - the floors above import it here

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

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**27)
"""Of a picture that is read: where Pillow itself refuses."""


# Reading


def read_rgb(path: str | os.PathLike[str]) -> Pixels:
    """Read the first picture of a file as uint8 (H, W, 3), sRGB.

    Orientation and colour profile are applied. Alpha is ignored: the colours are as stored, not
    blended with anything. 16 bits are rounded to 8 in TIFFs and in grey pictures without alpha; of
    PNGs in colour or with alpha, Pillow keeps the high byte, which may be one level off. Floats
    mean [0, 1]; if they leave that range, and for integers of 32 bits, the picture's own range is
    stretched to [0, 255].

    Raises:
        PictureError: missing, unreadable, empty, damaged, too large, or not a picture.
        MemoryError: there is not enough for a picture that may be sound.
    """
    return decode_rgb(read_bytes(path), path)


def decode_rgb(data: bytes, path: str | os.PathLike[str]) -> Pixels:
    """Decode a picture's file as `read_rgb` does; `path` is what errors call it."""
    with reading(path):
        return _decode(data)


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


def read_alpha(path: str | os.PathLike[str]) -> Pixels | None:
    """Read the alpha of a picture that `read_rgb` reads, the right way up.

    Of a picture without alpha the header alone is read; in TIFFs that only tifffile reads, alpha is
    not looked for.

    Returns:
        uint8 (H, W), 255 is opaque; None if the picture has no alpha.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's of large pictures
        try:
            with Image.open(path) as picture:
                if not picture.has_transparency_data:
                    return None
                upright = ImageOps.exif_transpose(picture)
        except UnidentifiedImageError:
            return None
    if upright.getbands()[-1] not in {"A", "a"}:  # colours of a palette, or one colour
        upright = upright.convert("RGBA")
    return np.asarray(upright)[..., -1]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a picture's file.

    Raises:
        PictureError: missing, unreadable, empty or a folder.
    """
    with open_file(path) as stream:
        return stream.read()


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


def _decode(data: bytes) -> Pixels:
    picture = ImageOps.exif_transpose(_open(data))
    profile = picture.info.get("icc_profile")
    if picture.mode in WIDE_MODES:
        picture = Image.fromarray(to_bytes(np.asarray(picture)))
    for mode in WITHOUT_ALPHA.get(picture.mode, []):
        picture = picture.convert(mode)
    return np.array(_to_srgb(picture, profile))


def _open(data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if data.startswith(tiff.MAGIC):
            return _open_deep_tiff(data)
        raise
    if isinstance(picture, TiffImageFile) and picture.mode not in WIDE_MODES:
        bits = picture.tag_v2.get(ExifTags.Base.BitsPerSample, (8,))
        if max(bits) > 8:
            return _open_deep_tiff(data)
    return picture


def _open_deep_tiff(data: bytes) -> Image.Image:
    """Open a TIFF with colours of more than 8 bits.

    Pillow knows none of floats, and garbles those of 16 bits whose channels are stored apart.
    """
    page = tiff.decode_tiff(data, MAX_PIXELS)
    picture = Image.fromarray(to_bytes(page.values))
    picture.getexif()[ExifTags.Base.Orientation] = page.orientation
    if page.profile:
        picture.info["icc_profile"] = page.profile
    return picture


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert mode L, RGB, CMYK, LAB or another without alpha to RGB."""
    transform = srgb_transform(picture.mode, profile)
    if transform is None:
        return picture.convert("RGB")
    return ImageCms.applyTransform(picture, transform) or picture


def srgb_transform(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a profile's colours, in a mode of Pillow, to sRGB in RGB.

    None for a profile that is broken or of another mode: viewers show the colours as they are.
    """
    try:
        source: Any = None
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        elif mode == "LAB":
            source = ImageCms.createProfile("LAB")
        if source is not None:
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        pass
    return None


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


# Writing


DEFAULT_QUALITY = 95


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


@dataclass(frozen=True)
class Picture:
    """What is to be written: bands of (rows, width, channels) that add up to the height."""

    bands: Iterable[NDArray[Any]]
    """uint8, RGB, if nothing else is said."""
    height: int
    width: int
    metadata: Mapping[str, str]
    """Kept in the file; keys are ASCII words. "Software" goes where formats have a place for it."""
    channels: int = 3
    """3, or 4 with alpha, which JPEG drops."""
    depth: int = 8
    """16 for bands of uint16, which JPEG and WebP round to 8 bits."""
    about: About | None = None
    """Of a photo; then `metadata` is for PNG only."""
    quality: int = DEFAULT_QUALITY
    """1 to 100, of JPEG and WebP."""


def write_picture(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture in the format that the suffix names, whole under its name or not at all.

    PNG and TIFF are written band by band; JPEG and WebP are put together in memory first.

    Raises:
        PictureError: an unknown suffix, a size beyond the format, or the file cannot be written.
    """
    check_output(path, picture.height, picture.width)
    write = FORMATS[Path(path).suffix.lower()].write
    try:
        with atomic(path) as temporary:
            write(temporary, picture)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PictureError(f"{path} cannot be written: {reason}") from error


def write_stdout(picture: Picture) -> None:
    """Write a PNG to stdout as it is made.

    Raises:
        OSError: the reader went away, or the disk behind it is full.
    """
    _stream_png(sys.stdout.buffer, picture)
    sys.stdout.buffer.flush()


def check_output(path: str | os.PathLike[str], height: int, width: int) -> None:
    """Refuse what cannot be written, before any work is done.

    Raises:
        PictureError: an unknown suffix, or a size beyond the format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise PictureError(
            f"{path}: {suffix or 'no suffix'} is no format that can be written; "
            f"choose one of {', '.join(FORMATS)}"
        )
    kind = FORMATS[suffix]
    if max(height, width) > kind.max_side:
        raise PictureError(
            f"{path}: {width}x{height} is too large for {kind.name}, "
            f"which ends at {kind.max_side} pixels a side; {kind.way_out}"
        )
    if height * width > kind.max_pixels:
        raise PictureError(
            f"{path}: {width}x{height} is too large for {kind.name}, which is put together in "
            f"memory, up to {kind.max_pixels} pixels; {kind.way_out}"
        )


def _write_png(path: Path, picture: Picture) -> None:
    with path.open("wb") as stream:
        _stream_png(stream, picture)


def _stream_png(stream: BinaryIO, picture: Picture) -> None:
    about = picture.about or About()
    header = png.Header(
        picture.height,
        picture.width,
        picture.channels,
        picture.depth,
        about.profile,
        exif.encode(about.exif),
        about.xmp,
        about.dpi,
    )
    png.write_png(stream, picture.bands, header, picture.metadata)


def _write_tiff(path: Path, picture: Picture) -> None:
    about = picture.about or About()
    tags = _exif(picture)
    if about.profile:
        tags[exif.PROFILE] = exif.Tag(exif.UNDEFINED, about.profile)
    if about.xmp:
        tags[exif.XMP] = exif.Tag(exif.BYTE, about.xmp)
    header = tiff.Header(picture.height, picture.width, picture.channels, picture.depth)
    tiff.write_tiff(path, picture.bands, header, tags)


def _write_jpeg(path: Path, picture: Picture) -> None:
    # No chroma subsampling: textures are all fine detail.
    options = _options(picture, JPEG_SEGMENT)
    _whole(picture, 3).save(path, "JPEG", subsampling="4:4:4", **options)


def _write_webp(path: Path, picture: Picture) -> None:
    # Exact: colours under alpha 0 stay as they are.
    _whole(picture, picture.channels).save(path, "WEBP", exact=True, **_options(picture))


def _options(picture: Picture, limit: int = 2**31) -> dict[str, Any]:
    """Return what Pillow is to write beside the pixels, without blocks beyond `limit` bytes."""
    about = picture.about or About()
    block = exif.HEADER + exif.encode(_exif(picture))
    options: dict[str, Any] = {"quality": picture.quality, "icc_profile": about.profile}
    if len(block) <= limit:
        options["exif"] = block
    if about.xmp and len(about.xmp) <= limit - len(JPEG_XMP):
        options["xmp"] = about.xmp
    if about.dpi:
        options["dpi"] = about.dpi
    return options


def _whole(picture: Picture, channels: int) -> Image.Image:
    whole = Image.new("RGBA" if channels == 4 else "RGB", (picture.width, picture.height))
    top = 0
    for band in picture.bands:
        pixels = np.ascontiguousarray(to_8_bits(band)[..., :channels])
        whole.paste(Image.fromarray(pixels), (0, top))
        top += len(band)
    return whole


def to_8_bits(samples: NDArray[Any]) -> Pixels:
    """Round uint16 to uint8; uint8 stays as it is."""
    if samples.dtype.itemsize == 1:
        return samples
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _exif(picture: Picture) -> Directory:
    if picture.about is not None:
        return dict(picture.about.exif)
    return {
        exif.SOFTWARE: exif.text(picture.metadata.get("Software", "")),
        exif.DESCRIPTION: exif.text(json.dumps(dict(picture.metadata))),
    }


@dataclass(frozen=True)
class Format:
    """A format that can be written, and its limits."""

    name: str
    write: Callable[[Path, Picture], None]
    max_side: int
    max_pixels: int = 2**62
    way_out: str = "ask for less"
    alpha: bool = True
    lossy: bool = False


IN_MEMORY = 2**29
"""Pixels of a picture that is put together in memory: 2 GiB, as Pillow needs 4 bytes for each."""
JPEG_SEGMENT, JPEG_XMP = 65533, b"http://ns.adobe.com/xap/1.0/\0"
"""Bytes that a segment holds, and what begins one of XMP."""
STREAMED = "take .png or .tiff, which are written row by row"

_PNG = Format("PNG", _write_png, png.MAX_SIDE)
_TIFF = Format("TIFF", _write_tiff, tiff.MAX_SIDE)
# libjpeg ends a little before the format's 65535.
_JPEG = Format("JPEG", _write_jpeg, 65500, IN_MEMORY, STREAMED, alpha=False, lossy=True)
_WEBP = Format("WebP", _write_webp, 16383, IN_MEMORY, STREAMED, lossy=True)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""What can be written, by suffix."""
