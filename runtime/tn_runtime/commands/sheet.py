"""A contact sheet: pictures of many seeds in one, made band by band like any other picture."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from tn_runtime.pictures import GAP, WHITE, side_by_side
from tn_runtime.pixels import Pixels
from tn_runtime.requests import check_request
from tn_runtime.session import Model
from tn_runtime.synthesis import Progress, bands


def sheet_size(count: int, height: int, width: int) -> tuple[int, int]:
    """Return (height, width) of a sheet with about as many rows as columns."""
    columns = _columns(count)
    rows = -(-count // columns)
    return rows * (height + GAP) - GAP, columns * (width + GAP) - GAP


def sheet_bands(
    model: Model,
    seeds: Sequence[int],
    size: tuple[int, int],
    origin: tuple[int, int] = (0, 0),
    period: tuple[int, int] = (0, 0),
    progress: Progress | None = None,
) -> Iterator[Pixels]:
    """Make the sheet from top to bottom, the seeds in reading order.

    The request is checked at once, before the first band is asked for.

    Returns:
        Iterator of uint8 (rows, width of the sheet, 3), RGB.

    Raises:
        RequestError: a size, seed, origin or period that cannot be served.
        ModelError: the model failed.
    """
    check_request(model, size, seeds, origin, period)
    return _sheet_bands(model, seeds, size, origin, period, progress)


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _sheet_bands(
    model: Model,
    seeds: Sequence[int],
    size: tuple[int, int],
    origin: tuple[int, int],
    period: tuple[int, int],
    progress: Progress | None,
) -> Iterator[Pixels]:
    width = sheet_size(len(seeds), *size)[1]
    columns = _columns(len(seeds))
    for first in range(0, len(seeds), columns):
        if first:
            yield np.full((GAP, width, 3), WHITE, np.uint8)
        row = [
            bands(model, size, seed, origin, period, sheet_width=width)
            for seed in seeds[first : first + columns]
        ]
        for parts in zip(*row, strict=True):
            yield side_by_side(parts, width)
            del parts
        if progress is not None:
            progress(min(first + columns, len(seeds)), len(seeds))
