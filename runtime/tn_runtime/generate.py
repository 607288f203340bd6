"""The verbs: what a model is asked for, checked, cut into tiles, run and put together."""

import dataclasses
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tn_runtime import tiling
from tn_runtime.errors import ModelError, RequestError
from tn_runtime.pixels import Pixels
from tn_runtime.session import Model
from tn_runtime.tiling import Window

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

MAX_SIDE = 2**31 - 1
"""Pixels; no picture format goes beyond."""

WAYS = {
    "texture": "it takes no photo: tn-run texture MODEL -o OUT (in Python, synthesize)",
    "style": "it stylises photos: tn-run style MODEL PHOTO -o OUT (in Python, stylize)",
}
"""What each kind of model is for."""

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and the number of all."""


@dataclass(frozen=True)
class Request:
    """What a model is asked for: checked, in Python's own integers."""

    seeds: list[int]
    window: Window
    period: tuple[int, int]
    """(vertical, horizontal), pixels; 0 for none."""


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
    pictures = np.empty((len(request.seeds), window.height, window.width, 3), np.uint8)
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


def check_request(
    model: Model,
    size: tuple[int, int],
    seeds: Sequence[int],
    origin: tuple[int, int],
    period: tuple[int, int],
) -> Request:
    """Return what is asked for, if it can be served; sizes and places as in `synthesize`.

    Raises:
        RequestError: it cannot be served, or the model is none of textures.
    """
    check_kind(model, "texture")
    height, width = _pair("size", size)
    y, x = _pair("origin", origin)
    if not all(1 <= side <= MAX_SIDE for side in (height, width)):
        raise RequestError(f"size {width}x{height} is out of range; each side is 1 to {MAX_SIDE}")
    numbers = [check_seed(seed) for seed in seeds]
    if not numbers:
        raise RequestError("there is no seed; give at least one")
    margin = model.spec.halo + model.spec.stride
    for start, side in ((y, height), (x, width)):
        if start - margin < INT64_MIN or start + side + margin > INT64_MAX:
            raise RequestError(
                f"origin {x},{y} is out of range; "
                f"the window and {margin} pixels around it must lie within -2^63 to 2^63-1"
            )
    repeats = _pair("period", period)
    for length in repeats:
        _check_period(length, model.spec.stride)
    return Request(numbers, Window(y, x, height, width), repeats)


def check_kind(model: Model, kind: Literal["texture", "style"]) -> None:
    """Refuse a model of the other kind.

    Raises:
        RequestError: it is one.
    """
    if model.spec.kind == kind:
        return
    raise RequestError(f"{model.path} is a {model.spec.kind} model; {WAYS[model.spec.kind]}")


def check_seed(seed: int) -> int:
    """Return a seed as Python's own integer.

    Raises:
        RequestError: not an int64.
    """
    number = check_integer("seed", seed)
    if not INT64_MIN <= number <= INT64_MAX:
        raise RequestError(f"seed {number} is out of range; it is -2^63 to 2^63-1")
    return number


def _pair(name: str, values: tuple[int, int]) -> tuple[int, int]:
    try:
        first, second = values
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"{name} {values!r:.60} is no pair; give (vertical, horizontal)"
        ) from error
    return check_integer(name, first), check_integer(name, second)


def check_integer(name: str, value: int) -> int:
    """Return a whole number as Python's own integer.

    Raises:
        RequestError: it is none.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise RequestError(f"{name} {value!r:.60} is no integer; give a whole number") from error


def _batch(model: Model, window: Window) -> int:
    """Return how many pictures may run at once: as many as need no more memory than one tile.

    What a model computes is larger than its window: a halo on each side, and up to a stride for
    the coarse noise that the window cuts.
    """
    pad = model.spec.stride + 2 * model.spec.halo
    return max(1, (tiling.TILE + pad) ** 2 // ((window.height + pad) * (window.width + pad)))


def _bands(
    model: Model, request: Request, progress: Progress | None = None, sheet_width: int = 0
) -> Iterator[Pixels]:
    """Yield uint8 (N, rows, width, 3)."""
    stride, window = model.spec.stride, request.window
    total = tiling.count(window, stride, tiling.TILE, sheet_width)
    done = 0
    for row in tiling.rows(window, stride, tiling.TILE, sheet_width):
        band = np.empty((len(request.seeds), row.height, row.width, 3), np.uint8)
        for tile in tiling.tiles(row, stride, tiling.TILE):
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


def _check_period(period: int, stride: int) -> None:
    if not 0 <= period <= INT64_MAX:
        raise RequestError(f"period {period} is out of range; it is 0 for none, up to 2^63-1")
    if period % stride:
        below, above = period // stride * stride, -(-period // stride) * stride
        nearest = f"{below} or {above}" if below else f"{above}"
        raise RequestError(
            f"{period} pixels cannot tile with this model: it must be a multiple of {stride}; "
            f"the nearest is {nearest}"
        )
