"""Where the samples of a decoded picture are: in memory, or in a temporary file if they are many.

A JPEG of 12000x9000 pixels has 324 MB of samples. They lie in a file without a name (it is gone
when the process ends, however it ends) and are mapped into memory for the rows that are asked for.
"""

import math
import mmap
import os
import tempfile
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tn_runtime.errors import PictureError
from tn_runtime.pixels import Samples

IN_MEMORY = 2**26
"""Bytes: a picture with more lies in a temporary file."""

SIDEWAYS = (5, 6, 7, 8)
INVERSE = {6: 8, 8: 6}
"""Orientations that are not their own inverse."""


def turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return the upright view of an array (H, W, ...) with that EXIF orientation."""
    if orientation in SIDEWAYS:
        array = array.swapaxes(0, 1)
    down = -1 if orientation in {3, 4, 7, 8} else 1
    across = -1 if orientation in {2, 3, 6, 7} else 1
    return array[::down, ::across]


class Store:
    """Samples that are put in as the file has them, and read upright."""

    def __init__(
        self, upright: Samples, orientation: int = 1, file: mmap.mmap | None = None
    ) -> None:
        """Take room for (H, W, channels), upright; `file` is where it is mapped from."""
        self._upright, self._file = upright, file
        self._as_stored = turned(upright, INVERSE.get(orientation, orientation))
        self.height, self.width, self.channels = upright.shape

    @classmethod
    def of_size(
        cls, height: int, width: int, channels: int, dtype: DTypeLike, orientation: int = 1
    ) -> Self:
        """Make room for (height, width, channels), the size before the picture is turned.

        Raises:
            PictureError: there is no room for the temporary file.
        """
        size = (width, height) if orientation in SIDEWAYS else (height, width)
        shape = (*size, channels)
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        if needed <= IN_MEMORY:
            return cls(np.empty(shape, dtype), orientation)
        file = _mapped(needed)
        return cls(np.frombuffer(file, dtype).reshape(shape), orientation, file)

    def put(self, top: int, rows: Samples) -> None:
        """Put in rows (n, width, channels) of the file, the first of which is `top`."""
        self._as_stored[top : top + len(rows)] = rows
        self._release()

    def rows(self, top: int, bottom: int) -> Samples:
        """Return upright rows (bottom - top, W, channels); a view, if they are in memory."""
        if self._file is None:
            return self._upright[top:bottom]
        rows = np.array(self._upright[top:bottom])
        self._release()
        return rows

    def _release(self) -> None:
        """Let go of the memory that the file is mapped into; the file keeps the samples."""
        if self._file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._file.madvise(mmap.MADV_DONTNEED)


def _mapped(size: int) -> mmap.mmap:
    try:
        with tempfile.TemporaryFile() as file:
            _reserve(file.fileno(), size)
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise PictureError(
            f"needs {size / 1e6:.0f} MB in the folder for temporary files "
            f"({tempfile.gettempdir()}): {error.strerror or error}; set TMPDIR to another folder"
        ) from error


def _reserve(file: int, size: int) -> None:
    """Take the room on the disk now: a mapped file that finds the disk full kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    zeros = bytes(2**20)
    for start in range(0, size, len(zeros)):
        os.write(file, zeros[: size - start])
