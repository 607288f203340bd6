"""The verb `synthesize`: a window of a texture, cut into tiles, run and put together."""

import dataclasses
import math
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tn_runtime import tiling
from tn_runtime.errors import ModelError, RequestError
from tn_runtime.pixels import Pixels
from tn_runtime.requests import Request, check_request
from tn_runtime.session import Model
from tn_runtime.tiling import Window

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and the number of all."""


def synthesize(
    model: Model,
    size: tuple[int, int] = (512, 512),
    seed: int | Sequence[int] = 0,
    origin: tuple[int, int] = (0, 0),
    period: tuple[int, int] = (0, 0),
) -> Pixels:
    """Make a window of the endless texture, whole in memory.

    Args:
        model: of kind texture.
        size: (height, width) of the window, pixels.
        seed: one plane per seed, int64; a sequence makes as many pictures.
        origin: (y, x) of the window's top left corner on the plane, int64, any sign.
        period: (vertical, horizontal) pixels after which the plane repeats, multiples of the
            model's stride; 0 for a plane that does not. A window of the period's size tiles.

    Returns:
        uint8 (height, width, 3), RGB; for a sequence of N seeds (N, height, width, 3).

    Raises:
        RequestError: a size, seed, origin or period that cannot be served.
        ModelError: the model failed.
    """
    seeds = np.asarray(seed, object)  # Python integers, of any size
    request = check_request(model, size, np.atleast_1d(seeds).tolist(), origin, period)
    window = request.window
    shape = (len(request.seeds), window.height, window.width, 3)
    try:
        pictures = np.empty(shape, np.uint8)
    except (MemoryError, ValueError) as error:
        asked = f"{shape[0]} of {window.width}x{window.height}"
        raise RequestError(
            f"{asked} pixels need {math.prod(shape) / 1e9:.0f} GB of memory; "
            "ask for less, or for `bands`, whose memory does not grow"
        ) from error
    batch = _batch(model, window)
    for first in range(0, len(request.seeds), batch):
        group = slice(first, first + batch)
        top = 0
        part = dataclasses.replace(request, seeds=request.seeds[group])
        for band in _bands(model, part):
            bottom = top + band.shape[1]
            pictures[group, top:bottom] = band
            top = bottom
    return pictures[0] if seeds.ndim == 0 else pictures


def bands(
    model: Model,
    size: tuple[int, int] = (512, 512),
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
    period: tuple[int, int] = (0, 0),
    progress: Progress | None = None,
    sheet_width: int = 0,
) -> Iterator[Pixels]:
    """Make the picture of `synthesize` from top to bottom, in memory that does not grow with it.

    The request is checked at once, before the first band is asked for. Where the bands become part
    of a sheet, its width in pixels makes them lower.

    Returns:
        Iterator of uint8 (rows, width, 3), RGB; the rows add up to the height.

    Raises:
        RequestError: a size, seed, origin or period that cannot be served.
        ModelError: the model failed.
    """
    request = check_request(model, size, [seed], origin, period)
    # Unlike a loop, map() holds no band while the next is being made.
    return map(operator.itemgetter(0), _bands(model, request, progress, sheet_width))


def _batch(model: Model, window: Window) -> int:
    """Return how many pictures may run at once: as many as need no more memory than one tile.

    What a model computes is larger than its window: a halo on each side, and up to a stride for
    the coarse noise that the window cuts.
    """
    pad = model.spec.stride + 2 * model.spec.halo
    return max(1, (model.tile + pad) ** 2 // ((window.height + pad) * (window.width + pad)))


def _bands(
    model: Model, request: Request, progress: Progress | None = None, sheet_width: int = 0
) -> Iterator[Pixels]:
    """Yield uint8 (N, rows, width, 3)."""
    stride, window = model.spec.stride, request.window
    total = tiling.count(window, stride, model.tile, sheet_width)
    done = 0
    for row in tiling.rows(window, stride, model.tile, sheet_width):
        band = np.empty((len(request.seeds), row.height, row.width, 3), np.uint8)
        for tile in tiling.tiles(row, stride, model.tile):
            left = tile.x - row.x
            band[:, :, left : left + tile.width] = _tile(model, request, tile)
            done += 1
            if progress is not None:
                progress(done, total)
        yield band


def _tile(model: Model, request: Request, tile: Window) -> Pixels:
    image = model.run(
        seed=np.array(request.seeds, np.int64),
        origin=np.array((tile.y, tile.x), np.int64),
        size=np.array((tile.height, tile.width), np.int64),
        period=np.array(request.period, np.int64),
    )
    expected = (len(request.seeds), tile.height, tile.width, 3)
    if image.shape != expected:
        raise ModelError(f"{model.path} returned shape {image.shape}, not {expected}")
    return image
