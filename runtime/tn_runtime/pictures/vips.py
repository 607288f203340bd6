"""libvips as a decoder that gives rows from top to bottom: JPEG, PNG, WebP, AVIF, most TIFFs.

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
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from pyvips.vimage import FORMAT_TO_TYPESTR

from tn_runtime.pictures.encoded import STRIP, Encoded
from tn_runtime.pictures.metadata import Said

# Without a handler its warnings about odd files would land on stderr.
logging.getLogger("pyvips").addHandler(logging.NullHandler())
# The library's cache would keep the last 100 pictures: 110 MB more after 500 small photos.
pyvips.cache_set_max(0)


class VipsDecoder:
    """The first picture of a file, as the file has it."""

    def __init__(self, loader: str, data: bytes, **options: Any) -> None:  # noqa: ANN401 - libvips' own
        """Read the header; `loader` is the name of a format, as libvips has it.

        Raises:
            pyvips.Error: damaged, or of a kind that libvips does not know.
        """
        self._loader, self._data, self._options = loader, data, options
        self._header = self._open()
        self._dtype = np.dtype(FORMAT_TO_TYPESTR[self._header.format])
        grey, cmyk = self._header.bands < 3, self._header.interpretation == "cmyk"
        self.mode = "L" if grey else "CMYK" if cmyk else "RGB"
        """As in `Encoded`."""

    def field(self, name: str, otherwise: Any) -> Any:  # noqa: ANN401 - of the type of `otherwise`
        """Return a field of the header, by libvips' name."""
        return self._header.get(name) if self._header.get_typeof(name) else otherwise

    def encoded(self, said: Said, **facts: Any) -> Encoded:  # noqa: ANN401 - of `Encoded`
        """Return the picture; `facts` are fields of `Encoded` that libvips does not tell."""
        found = {"mode": self.mode, "alpha": self._header.hasalpha()} | facts
        size = self._header.height, self._header.width
        return Encoded(*size, dtype=self._dtype, strips=self._strips, said=said, **found)

    def _open(self) -> pyvips.Image:
        source = pyvips.Source.new_from_memory(self._data)
        load = getattr(pyvips.Image, f"{self._loader}load_source")
        return load(source, access="sequential", fail_on="error", **self._options)

    def _strips(self) -> Iterator[NDArray[Any]]:
        image = self._open()
        region = pyvips.Region.new(image)
        for top in range(0, image.height, STRIP):
            rows = min(STRIP, image.height - top)
            values = np.frombuffer(region.fetch(0, top, image.width, rows), self._dtype)
            yield values.reshape(rows, image.width, image.bands)
