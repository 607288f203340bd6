"""Cutting a window of the plane into tiles: geometry only, in Python integers of any size."""

from collections.abc import Iterator
from dataclasses import dataclass

BAND_BYTES = 64 * 2**20
"""Rows of tiles are made lower where the picture is so wide that a band would exceed this. They are
never lower than a stride, though, which is what a model computes anyway."""


@dataclass(frozen=True)
class Window:
    """A rectangle of the plane, in pixels; `y` and `x` of any sign."""

    y: int
    x: int
    height: int
    width: int


def rows(window: Window, stride: int, tile: int, width: int = 0) -> Iterator[Window]:
    """Cut a window into rows of tiles, from top to bottom.

    `width` is the width of the picture if the window is only a part of it.
    """
    limit = min(tile, BAND_BYTES // (3 * max(width, window.width)))
    for y, height in _spans(window.y, window.height, stride, limit):
        yield Window(y, window.x, height, window.width)


def tiles(row: Window, stride: int, tile: int) -> Iterator[Window]:
    """Cut a row into tiles, from left to right."""
    for x, width in _spans(row.x, row.width, stride, tile):
        yield Window(row.y, x, row.height, width)


def count(window: Window, stride: int, tile: int, width: int = 0) -> int:
    """Return the number of tiles in all rows of a window."""
    down = sum(1 for _ in rows(window, stride, tile, width))
    return down * sum(1 for _ in tiles(window, stride, tile))


def _spans(start: int, length: int, stride: int, limit: int) -> Iterator[tuple[int, int]]:
    """Cut [start, start + length) at multiples of the stride, into parts of at most `limit`.

    A model computes whole strides and crops, so a cut anywhere else would be paid for twice.
    """
    step = max(stride, limit // stride * stride)
    end = start + length
    cut = start // stride * stride + step
    while start < end:
        stop = min(cut, end)
        yield start, stop - start
        start, cut = stop, cut + step
