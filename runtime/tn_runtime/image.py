"""The only place where pictures are read and written.

Whatever comes in becomes 8-bit sRGB; whatever goes out is whole under its final name, or not there.
"""

import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from tn_runtime import png, tiff
from tn_runtime.errors import PictureError
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
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses twice that; the refusal is enough.
            warnings.simplefilter("ignore")
            return _decode(data)
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path} is too large a picture: {error}; scale it down") from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{path} is not a picture that can be read; convert it to PNG or JPEG"
        ) from error
    except MemoryError:
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
    if Path(path).is_dir():
        raise PictureError(f"{path} is a folder; name a picture")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise PictureError(f"{path} is empty; copy the picture again")
    return data


def _decode(data: bytes) -> Pixels:
    picture = ImageOps.exif_transpose(_open(data))
    profile = picture.info.get("icc_profile")
    if picture.mode in WIDE_MODES:
        picture = Image.fromarray(_to_bytes(np.asarray(picture)))
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
    picture = Image.fromarray(_to_bytes(page.values))
    picture.getexif()[ExifTags.Base.Orientation] = page.orientation
    if page.profile:
        picture.info["icc_profile"] = page.profile
    return picture


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert mode L, RGB, CMYK, LAB or another without alpha to RGB."""
    try:
        source: Any = None
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        elif picture.mode == "LAB":
            source = ImageCms.createProfile("LAB")
        if source is not None:
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, srgb, outputMode="RGB")
            return converted or picture
    except (ImageCms.PyCMSError, OSError):
        pass  # a broken or foreign profile: every viewer shows the colours as they are
    return picture.convert("RGB")


def _to_bytes(values: NDArray[Any]) -> Pixels:
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


@dataclass(frozen=True)
class Picture:
    """What is to be written: bands of uint8 (rows, width, 3), RGB, that add up to the height."""

    bands: Iterable[Pixels]
    height: int
    width: int
    metadata: Mapping[str, str]
    """Kept in the file; keys are ASCII words. "Software" goes where formats have a place for it."""


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
    stream = sys.stdout.buffer
    png.write_png(stream, picture.bands, picture.height, picture.width, picture.metadata)
    stream.flush()


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
        png.write_png(stream, picture.bands, picture.height, picture.width, picture.metadata)


def _write_tiff(path: Path, picture: Picture) -> None:
    tiff.write_tiff(
        path,
        picture.bands,
        picture.height,
        picture.width,
        picture.metadata.get("Software", ""),
        _description(picture.metadata),
    )


def _write_jpeg(path: Path, picture: Picture) -> None:
    # No chroma subsampling: textures are all fine detail.
    _whole(picture).save(
        path, "JPEG", quality=95, subsampling="4:4:4", exif=_exif(picture.metadata)
    )


def _write_webp(path: Path, picture: Picture) -> None:
    _whole(picture).save(path, "WEBP", quality=95, exif=_exif(picture.metadata))


def _whole(picture: Picture) -> Image.Image:
    whole = Image.new("RGB", (picture.width, picture.height))
    top = 0
    for band in picture.bands:
        whole.paste(Image.fromarray(band), (0, top))
        top += len(band)
    return whole


def _exif(metadata: Mapping[str, str]) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = metadata.get("Software", "")
    exif[ExifTags.Base.ImageDescription] = _description(metadata)
    return exif


def _description(metadata: Mapping[str, str]) -> str:
    return json.dumps(dict(metadata))  # ASCII, as EXIF and TIFF want it


@dataclass(frozen=True)
class Format:
    """A format that can be written, and its limits."""

    name: str
    write: Callable[[Path, Picture], None]
    max_side: int
    max_pixels: int = 2**62
    way_out: str = "ask for less"


IN_MEMORY = 2**26
"""Pixels of a picture that is put together in memory, where Pillow needs 4 bytes for each."""
STREAMED = "take .png or .tiff, which are written row by row"

_PNG = Format("PNG", _write_png, png.MAX_SIDE)
_TIFF = Format("TIFF", _write_tiff, tiff.MAX_SIDE)
# libjpeg ends a little before the format's 65535.
_JPEG = Format("JPEG", _write_jpeg, 65500, IN_MEMORY, STREAMED)
_WEBP = Format("WebP", _write_webp, 16383, IN_MEMORY, STREAMED)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
"""What can be written, by suffix."""
