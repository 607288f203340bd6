"""The only place where files of pictures are read and written.

    picture = read("photo.heic")              # or decode(bytes, "what errors call it")
    picture.srgb()                            # uint8 (H, W, 3); or rows, or the file's own colours
    save("out.png", Rows.of_array(pixels))    # or encode(stream, ".png", rows)

`decode` chooses the decoder of a format, `encode` lists the formats that are written. One file a
format: `png`, `tiff`, `lossy` (JPEG, WebP, AVIF) and `pillow` (the rest). One file each: `encoded`
(a picture before its samples are read), `color` (ICC profiles), `metadata` with `exif`, `store`
(where samples lie), `picture` (what users of this room hold). Depth and alpha are in
`tn_runtime.pixels`.
"""

from tn_runtime.pictures.decode import MAX_PIXELS, decode
from tn_runtime.pictures.detail import LUMA, with_detail
from tn_runtime.pictures.encode import FORMATS, check_output, check_quality, encode, save
from tn_runtime.pictures.picture import Picture, Rows
from tn_runtime.pictures.read import SUFFIXES, check_readable, read, read_bytes
from tn_runtime.pictures.resampling import RowBuffer, RowSource, resampled
from tn_runtime.pictures.sheet import GAP, WHITE, below_one_another, side_by_side

__all__ = [
    "FORMATS",
    "GAP",
    "LUMA",
    "MAX_PIXELS",
    "SUFFIXES",
    "WHITE",
    "Picture",
    "RowBuffer",
    "RowSource",
    "Rows",
    "below_one_another",
    "check_output",
    "check_quality",
    "check_readable",
    "decode",
    "encode",
    "read",
    "read_bytes",
    "resampled",
    "save",
    "side_by_side",
    "with_detail",
]
