"""libvips as a decoder that gives rows from top to bottom: JPEG, PNG, WebP, most TIFFs.

Pillow decodes a whole picture at 4 bytes a pixel and has no colours of 16 bits. Measured on a JPEG
of 12000x9000: libvips takes 70 MB beside the file, Pillow 432 MB. Everything else is left to
Pillow, numpy and ImageCms:

- libvips writes only what it has read itself; rows made in Python would need a second file.
- It does not report a PNG's gAMA, cHRM and cICP, nor how a TIFF means its fourth channel.
- Only regions are fetched, never `Image.write_to_...`: these start threads of the library, after
  which a forked child hangs.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pyvips
from numpy.typing import NDArray

from tn_runtime.pixels import Samples

STRIP = 64
"""Rows that are fetched at once."""

DTYPES = {
    "uchar": np.uint8,
    "char": np.int8,
    "ushort": np.uint16,
    "short": np.int16,
    "uint": np.uint32,
    "int": np.int32,
    "float": np.float32,
    "double": np.float64,
}
"""By libvips' name."""

BLOBS = ("exif-data", "icc-profile-data", "xmp-data")
"""Metadata that is passed on as it is."""

# Without a handler its warnings about odd files would land on stderr.
logging.getLogger("pyvips").addHandler(logging.NullHandler())
# The library's cache would keep the last 100 pictures: 110 MB more after 500 small photos.
pyvips.cache_set_max(0)


class VipsDecoder:
    """The first picture of a file, as the file has it."""

    def __init__(self, loader: str, data: bytes) -> None:
        """Read the header; `loader` is "jpeg", "png", "tiff" or "webp".

        Raises:
            pyvips.Error: damaged, or of a kind that libvips does not know.
        """
        self._loader, self._data = loader, data
        image = self._open()
        self.height, self.width, self.channels = image.height, image.width, image.bands
        self.dtype = np.dtype(DTYPES[image.format])
        self.cmyk = image.interpretation == "cmyk"
        fields = image.get_fields()
        self.pages: int = image.get("n-pages") if "n-pages" in fields else 1
        self._blobs = {name: image.get(name) for name in BLOBS if name in fields}

    def blob(self, name: str) -> bytes:
        """Return what the file says beside the pixels, one of `BLOBS`; empty if it is silent."""
        return bytes(self._blobs.get(name, b""))

    def _open(self) -> pyvips.Image:
        load = getattr(pyvips.Image, f"{self._loader}load_source")
        source = pyvips.Source.new_from_memory(self._data)
        return load(source, access="sequential", fail_on="error")

    def strips(self) -> Iterator[NDArray[np.generic]]:
        """Yield (rows, W, channels) from top to bottom; each call decodes anew.

        Raises:
            pyvips.Error: damaged.
        """
        region = pyvips.Region.new(self._open())
        for top in range(0, self.height, STRIP):
            rows = min(STRIP, self.height - top)
            buffer = region.fetch(0, top, self.width, rows)
            strip: Samples = np.frombuffer(buffer, self.dtype)
            yield strip.reshape(rows, self.width, self.channels)
