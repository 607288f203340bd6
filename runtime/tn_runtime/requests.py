"""Checks of a request before any work: kind of model, size, seeds, origin, period."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tn_runtime.errors import RequestError
from tn_runtime.pattern import LARGEST_PERIOD
from tn_runtime.session import Model
from tn_runtime.tiling import Window

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

MAX_SIDE = 2**31 - 1
"""Pixels; no picture format goes beyond."""

WAYS = {
    "texture": "it takes no photo: tn-run texture MODEL -o OUT (in Python, synthesize)",
    "style": "it stylises photos: tn-run style MODEL PHOTO -o OUT (in Python, stylize)",
}
"""How each kind of model is used."""


@dataclass(frozen=True)
class Request:
    """A checked request, in Python's own integers."""

    seeds: list[int]
    window: Window
    period: tuple[int, int]
    """(vertical, horizontal), pixels; 0 for none."""


def check_request(
    model: Model,
    size: tuple[int, int],
    seeds: Sequence[int],
    origin: tuple[int, int],
    period: tuple[int, int],
) -> Request:
    """Return the checked request; sizes and origins are those of `synthesize`.

    Raises:
        RequestError: it cannot be served, or the model does not make textures.
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
        if model.spec.waves and length > LARGEST_PERIOD:
            raise RequestError(
                f"period {length} is out of range for a regular pattern; it is at most 2^31"
            )
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
            f"{name} {values!r:.60} is not a pair; give (vertical, horizontal)"
        ) from error
    return check_integer(name, first), check_integer(name, second)


def check_integer(name: str, value: int) -> int:
    """Return a whole number as Python's own integer.

    Raises:
        RequestError: it is not one.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise RequestError(f"{name} {value!r:.60} is not a whole number") from error


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
