"""From the bytes of a file to a picture: which decoder reads it, and what its samples mean.

libvips reads JPEG, PNG, WebP and TIFF; tifffile the TIFFs that libvips does not know; Pillow
the rest, and pillow-heif, an extra, HEIC. Nothing here depends on Pillow's limit on pixels or on
the filters of `warnings`, which belong to the whole process: the limit is an argument.
"""

import contextlib
import dataclasses
import functools
import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from tn_runtime.errors import PictureError
from tn_runtime.pictures import color, exif, png, tiff
from tn_runtime.pictures.metadata import About, exif_of_text, understood
from tn_runtime.pictures.picture import Picture
from tn_runtime.pictures.store import Store
from tn_runtime.pictures.vips import STRIP, VipsDecoder
from tn_runtime.pixels import Samples, straight, to_8_bits

MAX_PIXELS = 178_956_970
"""Pixels of a picture that is read, if nothing else is said: where Pillow draws the line."""

BY_PILLOW = (
    "AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG2000", "PCX", "PPM", "PSD",
    "QOI", "SGI", "TGA",
)  # fmt: skip
"""Formats that Pillow decodes. Not EPS, which would start Ghostscript on a stranger's file."""
REFUSALS = (SyntaxError, IndexError, TypeError, KeyError, EOFError, struct.error)
"""How a plugin of Pillow says that a file is not of its format."""
JPEG = b"\xff\xd8\xff"
SIGNATURES = (png.SIGNATURE, JPEG, *tiff.MAGIC)
FIRST_OF_ANIMATION = "it is animated, and the first picture is taken"
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

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

Strips = Callable[[], Iterator[NDArray[Any]]]
"""Called, yields (rows, W, C) from top to bottom; each call decodes anew."""


@dataclass(frozen=True)
class Encoded:
    """A picture of which the header is read, and the samples are not."""

    height: int
    width: int
    """Pixels, before it is turned upright."""
    dtype: "np.dtype[Any]"
    strips: Strips
    """The first `colors` of their channels are colours; then comes alpha, if there is any."""
    colors: int
    """1, grey, or 3, RGB."""
    alpha: bool
    about: About
    orientation: int = 1
    premultiplied: bool = False

    @property
    def channels(self) -> int:
        """Channels that are kept."""
        return self.colors + self.alpha


def decode(data: bytes, name: object = "the picture", max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the first picture of a file.

    16 bits stay; floats and integers of 32 bits become 8 bits: floats mean [0, 1]; if they leave
    that range, and for integers, the picture's own range is stretched to [0, 255]. CMYK and LAB
    become sRGB, and so does a profile that knows no way back. Up to 64 MB of samples are in memory,
    more in a temporary file.

    Args:
        data: the whole file.
        name: what errors call it.
        max_pixels: of a picture that is read.

    Raises:
        PictureError: empty, damaged, of more than `max_pixels`, no picture, or of a kind that an
            extra reads which is not installed.
        MemoryError: there is not enough for a picture that may be sound.
    """
    if not data:
        raise PictureError(f"{name} is empty; copy the picture again")
    with _errors(name):
        encoded = _encoded(data)
        size = f"{encoded.width}x{encoded.height}"
        if encoded.width * encoded.height > max_pixels:
            raise Image.DecompressionBombError(f"{size} is more than {max_pixels} pixels")
        if encoded.height * encoded.width == 0:
            raise ValueError(f"it is {size}")
        return _picture(encoded)


@contextlib.contextmanager
def _errors(name: object) -> Iterator[None]:
    """Make a PictureError of whatever a decoder raises."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{name} is too large a picture: {error}; "
            "scale it down, or allow more (tn-run style: --max-pixels)"
        ) from error
    except PictureError as error:
        raise PictureError(f"{name} {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders fail on damaged files in every way there is
        detail = error.detail if isinstance(error, pyvips.Error) else str(error)
        if "out of memory" in detail:
            raise MemoryError(f"{name} is too large for the memory there is") from error
        reason = detail.strip().splitlines()[-1] if detail.strip() else type(error).__name__
        raise PictureError(
            f"{name} is damaged, or no kind of picture that can be read: {reason}; "
            "copy it again, or save it anew with a program that opens it"
        ) from error


def _encoded(data: bytes) -> Encoded:
    if data.startswith(png.SIGNATURE):
        return _png(data)
    if data.startswith(JPEG) or _is_webp(data):
        return _jpeg_or_webp(data)
    if data.startswith(tiff.MAGIC):
        return _tiff(data)
    if _is_heic(data):
        return _heic(data)
    return _by_pillow(_opened(io.BytesIO(data)))


def check_header(stream: BinaryIO, name: object) -> None:
    """Refuse, without reading it all, a file that is no picture or needs an extra.

    Raises:
        PictureError: one of these.
    """
    with _errors(name):
        head = stream.read(16)
        if _is_heic(head):
            _pillow_heif()
        elif not (head.startswith(SIGNATURES) or _is_webp(head)):
            _opened(stream)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS


def _picture(encoded: Encoded) -> Picture:
    """Decode the samples: colours and straight alpha, of 8 or 16 bits, upright."""
    convert = functools.partial(_converted, encoded, _range(encoded))
    deep = encoded.dtype == np.uint16
    dtype = np.uint16 if deep else np.uint8
    size = encoded.height, encoded.width
    store = Store(*size, encoded.channels, dtype, encoded.orientation)
    top = 0
    for strip in encoded.strips():
        store.put(top, convert(strip))
        top += len(strip)
    return Picture(store, encoded.about)


# What the samples mean


def _range(encoded: Encoded) -> tuple[float, float]:
    """Return the values that mean black and white."""
    if encoded.dtype.kind == "u" and encoded.dtype.itemsize <= 2:
        return 0.0, float(np.iinfo(encoded.dtype).max)
    colors = (strip[..., : encoded.colors] for strip in encoded.strips())
    spans = np.array([(part.min(), part.max()) for part in colors], np.float64)
    low, high = float(spans[:, 0].min()), float(spans[:, 1].max())
    if not np.isfinite([low, high]).all():
        raise ValueError("it holds values that are not finite numbers")
    nominal = 65535.0 if encoded.dtype.kind in "iu" else 1.0
    if low >= 0 and high <= nominal:
        return 0.0, nominal
    return low, high if high > low else low + 1


def _converted(encoded: Encoded, span: tuple[float, float], strip: NDArray[Any]) -> Samples:
    """Return (rows, W, colours and alpha) of 8 or 16 bits; alpha is straight, its most opaque."""
    colors, rest = strip[..., : encoded.colors], strip[..., encoded.colors : encoded.channels]
    if encoded.dtype.kind != "u" or encoded.dtype.itemsize > 2:
        integer = encoded.dtype.kind in "iu"
        opaque = (0, np.iinfo(encoded.dtype).max) if integer else span
        colors, rest = _scaled(colors, *span), _scaled(rest, *opaque)
    if encoded.premultiplied:
        colors = straight(colors, rest[..., 0])
    return np.concatenate([colors, rest], axis=2) if encoded.alpha else colors


def _scaled(values: NDArray[Any], low: float, high: float) -> Samples:
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _converted_to_srgb(encoded: Encoded, mode: str) -> Encoded:
    """Convert CMYK or LAB, modes of Pillow, to sRGB of 8 bits without alpha."""
    transform = color.srgb_transform(mode, encoded.about.profile)

    def converted() -> Iterator[Samples]:
        for strip in encoded.strips():
            channels = np.ascontiguousarray(to_8_bits(strip)[..., : Image.getmodebands(mode)])
            band = Image.frombytes(mode, strip.shape[1::-1], channels.tobytes())
            rgb = ImageCms.applyTransform(band, transform) if transform else band.convert("RGB")
            yield np.asarray(rgb)

    about = dataclasses.replace(encoded.about, profile=None)
    dtype = np.dtype(np.uint8)
    return dataclasses.replace(
        encoded, strips=converted, dtype=dtype, colors=3, alpha=False, about=about
    )


def _fitting(about: About, colors: int) -> About:
    """Return the profile that fits samples which become RGB, if there is a way back from sRGB."""
    profile = color.rgb_of_grey(about.profile) if colors == 1 else about.profile
    return dataclasses.replace(about, profile=profile)


# JPEG, WebP, PNG, TIFF


def _by_vips(decoder: VipsDecoder, about: About, orientation: int, **more: Any) -> Encoded:  # noqa: ANN401 - fields
    """Return what libvips decodes: grey, RGB or CMYK; by its number of channels, or as told."""
    facts: dict[str, Any] = {
        "colors": 1 if decoder.channels < 3 else 3,
        "alpha": decoder.channels in {2, 4},
        "about": about,
        "orientation": orientation,
    }
    size = decoder.height, decoder.width
    encoded = Encoded(*size, decoder.dtype, decoder.strips, **{**facts, **more})
    return _converted_to_srgb(encoded, "CMYK") if decoder.cmyk else _with_a_way_back(encoded)


def _with_a_way_back(encoded: Encoded) -> Encoded:
    """Convert to sRGB where a profile of RGB knows no way back from there."""
    profile = encoded.about.profile
    if profile is None or encoded.colors != 3 or color.transforms(profile):
        return encoded
    about = dataclasses.replace(encoded.about, profile=None)
    transform = color.srgb_transform("RGB", profile)
    if transform is None:  # broken: viewers show the samples as they are
        return dataclasses.replace(encoded, about=about)

    def converted() -> Iterator[Samples]:
        for strip in encoded.strips():
            colors = color.converted(to_8_bits(strip[..., :3]), transform)
            yield np.concatenate([colors, to_8_bits(strip[..., 3:])], axis=2)

    return dataclasses.replace(encoded, about=about, strips=converted, dtype=np.dtype(np.uint8))


def _jpeg_or_webp(data: bytes) -> Encoded:
    decoder = VipsDecoder("jpeg" if data.startswith(JPEG) else "webp", data)
    about, orientation = understood(
        exif.decode(decoder.blob("exif-data")),
        profile=decoder.blob("icc-profile-data"),
        xmp=decoder.blob("xmp-data"),
        dpi=_density_of_jfif(data),
        notes=(FIRST_OF_ANIMATION,) if decoder.pages > 1 else (),
    )
    return _by_vips(decoder, _fitting(about, min(decoder.channels, 3)), orientation)


def _density_of_jfif(data: bytes) -> tuple[float, float] | None:
    """Return dots per inch; libvips mixes them with defaults where there is EXIF."""
    if data[6:11] != b"JFIF\0":
        return None
    unit, across, down = struct.unpack(">BHH", data[13:18])
    scale = {1: 1.0, 2: 2.54}.get(unit, 0.0)
    return (across * scale, down * scale) if scale else None


def _png(data: bytes) -> Encoded:
    said = png.read_chunks(data)
    texts = dict(said.texts)
    block = said.exif or exif_of_text(texts.pop("Raw profile type exif", ""))
    notes = ["texts or a profile of more than 64 MB are left out"] if said.left_out else []
    if said.animated:
        notes.append(FIRST_OF_ANIMATION)
    about, orientation = understood(
        exif.decode(block),
        profile=said.profile,
        xmp=texts.pop(png.XMP, "").encode(),
        dpi=said.dpi,
        texts=texts,
        notes=tuple(notes),
    )
    decoder = VipsDecoder("png", png.pixels_only(data))
    about = _fitting(about, 1 if decoder.channels < 3 else 3)
    return _by_vips(decoder, _png_colors(said, about), orientation)


def _png_colors(said: png.Said, about: About) -> About:
    """Apply what a PNG says of its colours, in the specification's order of precedence."""
    if said.coded is not None:
        hdr = said.coded.hdr
        if hdr is None:
            return dataclasses.replace(about, profile=said.coded.profile)
        note = f"its colours are HDR ({hdr}); what is brighter than white is painted as white"
        return dataclasses.replace(
            about,
            profile=said.coded.profile,
            coded=said.coded,
            notes=(*about.notes, note),
        )
    if said.profile is not None or said.srgb or said.gamma is None:
        return about
    profile = color.profile_of_gamma(said.gamma, said.primaries)
    return dataclasses.replace(about, profile=profile)


def _tiff(data: bytes) -> Encoded:
    page = tiff.read_page(io.BytesIO(data))
    tags = exif.read(io.BytesIO(data))
    profile, xmp = (exif.content(tags.pop(code, None)) for code in (exif.PROFILE, exif.XMP))
    notes = ("it has several pages, and the first is taken",) if page.pages > 1 else ()
    about, orientation = understood(tags, profile=profile, xmp=xmp, notes=notes)
    about = _fitting(about, page.colors)
    if not page.suits_libvips:
        return _whole_tiff(page, about, orientation)
    decoder = VipsDecoder("tiff", data)
    if decoder.cmyk:
        return _by_vips(decoder, about, orientation)
    grey = page.colors == 1 or decoder.channels < 3  # a palette of greys is grey
    facts = {"colors": 1 if grey else 3, "alpha": page.alpha}  # libvips has divided by it
    return _by_vips(decoder, about, orientation, **facts)


def _whole_tiff(page: tiff.Page, about: About, orientation: int) -> Encoded:
    whole = functools.cache(page.whole)

    def strips() -> Iterator[NDArray[Any]]:
        for top in range(0, page.height, STRIP):
            yield whole()[top : top + STRIP]

    encoded = Encoded(
        page.height,
        page.width,
        page.dtype,
        strips,
        min(page.colors, 3),
        page.alpha,
        about,
        orientation,
        page.premultiplied,
    )
    if page.mode == "RGB":
        return _with_a_way_back(encoded)
    return _converted_to_srgb(encoded, page.mode)


# The rest


def _opened(stream: BinaryIO) -> ImageFile.ImageFile:
    """Open a picture with the plugin of Pillow that knows it, whatever its size.

    `Image.open` would judge the size by a limit of the whole process.
    """
    Image.init()
    stream.seek(0)
    head = stream.read(16)
    for name in BY_PILLOW:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or (accept and accept(head) is not True):
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except REFUSALS:
            continue
    raise PictureError("is not a picture that can be read; convert it to PNG or JPEG")


def _by_pillow(picture: ImageFile.ImageFile) -> Encoded:
    about, orientation = _about(picture)
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        note = f"it has {frames} pictures, and the first is taken"
        about = dataclasses.replace(about, notes=(*about.notes, note))
    mode = WITHOUT_ALPHA.get(picture.mode, [picture.mode])[-1]
    deep = picture.mode.startswith("I;16")
    wide = picture.mode in {"I", "F"}
    grey = deep or wide or mode == "L"
    about = _fitting(about, 1 if grey else 3)
    alpha = picture.has_transparency_data and not (deep or wide)
    dtype = np.dtype(np.uint16 if deep else {"I": np.int32, "F": np.float32}.get(mode, np.uint8))

    def strips() -> Iterator[NDArray[Any]]:
        picture.load()
        for top in range(0, picture.height, STRIP):
            box = (0, top, picture.width, min(top + STRIP, picture.height))
            size = (box[2], box[3] - top)  # `crop` would judge the size by Pillow's own limit
            yield _channels(picture.transform(size, Image.Transform.EXTENT, box), alpha)

    encoded = Encoded(
        picture.height, picture.width, dtype, strips, 1 if grey else 3, alpha, about, orientation
    )
    other = mode in {"CMYK", "LAB"}
    return _converted_to_srgb(encoded, mode) if other else _with_a_way_back(encoded)


def _channels(band: Image.Image, alpha: bool) -> NDArray[Any]:
    """Return (rows, W, C) of a band of any mode: its colours as stored, then alpha."""
    opacity = None
    if alpha:
        has_band = band.getbands()[-1] in {"A", "a"}  # or a palette's colours, or one colour
        with_alpha = band if has_band else band.convert("RGBA")
        opacity = np.asarray(with_alpha.getchannel(with_alpha.getbands()[-1]))
    for mode in WITHOUT_ALPHA.get(band.mode, []):
        band = band.convert(mode)
    if band.mode not in {"L", "RGB", "CMYK", "LAB", "I", "F"} and not band.mode.startswith("I;16"):
        band = band.convert("RGB")
    colors = np.asarray(band)
    colors = colors.reshape(*colors.shape[:2], -1).astype(colors.dtype.newbyteorder("="))
    return colors if opacity is None else np.concatenate([colors, opacity[..., None]], axis=2)


def _about(picture: ImageFile.ImageFile) -> tuple[About, int]:
    """Return what Pillow knows of a file, and its orientation."""
    info = picture.info
    return understood(
        exif.decode(info.get("exif") or b""),
        profile=info.get("icc_profile"),
        xmp=info.get("xmp") or b"",
        dpi=info.get("dpi"),
    )


def _pillow_heif() -> Any:  # noqa: ANN401 - an untyped module
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PictureError(
            "is HEIC, which needs an extra: pip install 'texture-networks[heic]' "
            "(in a clone: pip install '.[heic]')"
        ) from error
    return pillow_heif


def _heic(data: bytes) -> Encoded:
    file = _pillow_heif().open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    info = file.info
    about, _ = understood(  # libheif turns the picture itself
        exif.decode(info.get("exif") or b""),
        profile=info.get("icc_profile"),
        xmp=info.get("xmp") or b"",
    )

    def strips() -> Iterator[NDArray[Any]]:
        values = np.asarray(file)
        values = values.reshape(*values.shape[:2], -1)
        for top in range(0, len(values), STRIP):
            yield values[top : top + STRIP]

    width, height = file.size
    deep, channels = ";16" in file.mode, len(file.mode.partition(";")[0])
    grey = channels < 3
    return _with_a_way_back(
        Encoded(
            height,
            width,
            np.dtype(np.uint16 if deep else np.uint8),
            strips,
            1 if grey else 3,
            channels in {2, 4},
            _fitting(about, channels),
            premultiplied=bool(getattr(file, "premultiplied_alpha", False)),
        )
    )
