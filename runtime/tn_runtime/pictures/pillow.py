"""Formats that Pillow reads, and HEIC, which pillow-heif reads, an extra.

Pillow's limit on pixels belongs to the whole process: nothing here depends on it.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tn_runtime.errors import PictureError
from tn_runtime.pictures import exif
from tn_runtime.pictures.color import Coded
from tn_runtime.pictures.encoded import STRIP, Encoded
from tn_runtime.pictures.metadata import FIRST_OF_SEVERAL, Said

FORMATS = (
    "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG2000", "PCX", "PPM", "PSD", "QOI", "SGI", "TGA",
)  # fmt: skip
"""Formats that Pillow decodes. Not EPS, which would start Ghostscript on a stranger's file."""
REFUSALS = (SyntaxError, IndexError, TypeError, KeyError, EOFError, struct.error)
"""How a plugin of Pillow says that a file is not of its format."""
AS_STORED = {"L", "RGB", "CMYK", "LAB", "I", "F", "LA", "RGBA"}
"""Modes of which the samples are taken as they are."""


def opened(stream: BinaryIO) -> ImageFile.ImageFile:
    """Open a picture with the plugin of Pillow that knows it, whatever its size.

    `Image.open` would judge the size by a limit of the whole process.

    Raises:
        PictureError: no plugin knows it.
    """
    Image.init()
    stream.seek(0)
    head = stream.read(16)
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or (accept and accept(head) is not True):
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except REFUSALS:
            continue
    raise PictureError("is not a picture that can be read; convert it to PNG or JPEG")


def decode(data: bytes) -> Encoded:
    """Read the header of a picture of one of `FORMATS`.

    Raises:
        PictureError: it is none.
    """
    picture = opened(io.BytesIO(data))
    kept = picture.mode.startswith("I;16") or picture.mode in AS_STORED
    grey = picture.mode.startswith(("1", "L", "I", "F")) and picture.mode != "LAB"
    alpha = picture.has_transparency_data
    if not kept or "transparency" in picture.info:  # a palette, or one colour that is clear
        mode = ("L" if grey else "RGB") + ("A" if alpha else "")
    else:
        mode = picture.mode
    dtype = np.asarray(Image.new(mode, (1, 1))).dtype.newbyteorder("=")

    def strips() -> Iterator[NDArray[Any]]:
        picture.load()
        for top in range(0, picture.height, STRIP):
            box = (0, top, picture.width, min(top + STRIP, picture.height))
            size = (box[2], box[3] - top)  # `crop` would judge the size by Pillow's own limit
            values = np.asarray(picture.transform(size, Image.Transform.EXTENT, box).convert(mode))
            yield values.reshape(*values.shape[:2], -1).astype(dtype, copy=False)

    said = _said(picture, several=getattr(picture, "n_frames", 1) > 1)
    said.dpi = picture.info.get("dpi")
    colors = "L" if grey else mode.removesuffix("A")
    return Encoded(picture.height, picture.width, colors, alpha, dtype, strips, said)


def decode_heic(data: bytes) -> Encoded:
    """Read the header of a HEIC.

    Raises:
        PictureError: pillow-heif is missing.
        ValueError: damaged.
    """
    file = pillow_heif().open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    width, height = file.size
    bands = file.mode.partition(";")[0]
    said = _said(file, several=len(file) > 1)
    if (codes := file.info.get("nclx_profile")) and not said.profile:
        said.coded = Coded(codes["color_primaries"], codes["transfer_characteristics"])

    def strips() -> Iterator[NDArray[Any]]:
        values = np.asarray(file).reshape(height, width, -1)
        for top in range(0, height, STRIP):
            yield values[top : top + STRIP]

    return Encoded(
        height,
        width,
        "L" if bands.startswith("L") else "RGB",
        bands[-1] in "Aa",
        np.dtype(np.uint16 if ";16" in file.mode else np.uint8),
        strips,
        said,
        upright=True,
        premultiplied=bool(getattr(file, "premultiplied_alpha", False)),
    )


def _said(picture: Any, *, several: bool) -> Said:  # noqa: ANN401 - Pillow's or pillow-heif's
    info = picture.info
    tags = exif.read(info.get("exif") or b"")
    said = Said(tags, info.get("icc_profile"), xmp=info.get("xmp") or b"")
    if several:
        said.notes.append(FIRST_OF_SEVERAL)
    return said


def pillow_heif() -> Any:  # noqa: ANN401 - an untyped module
    """Return the module.

    Raises:
        PictureError: it is not installed.
    """
    try:
        import pillow_heif as module  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PictureError(
            "is HEIC, which needs an extra: pip install 'texture-networks[heic]' "
            "(in a clone: pip install '.[heic]')"
        ) from error
    return module
