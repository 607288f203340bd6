"""A period of the plane stretches a regular pattern until it fits: how far, and what fits."""

import math

from tn_runtime.spec import ModelSpec

MOST_STRETCH = 0.03
"""Relative change of a wave vector up to which the pattern was seen in training."""
LARGEST_PERIOD = 2**31
"""Pixels; phases of waves are computed within it."""


def stretch(spec: ModelSpec, period: tuple[int, int]) -> float:
    """Return the largest relative change of the model's wave vectors by a period, 0 without waves.

    Args:
        spec: the model's.
        period: (vertical, horizontal), pixels, 0 for none.
    """
    changes = [0.0]
    for vector in spec.waves:
        fitted = [
            round(cycles * repeat) / repeat if repeat else cycles
            for cycles, repeat in zip(vector, period, strict=True)
        ]
        changes.append(math.dist(fitted, vector) / math.hypot(*vector))
    return max(changes)


def advice(spec: ModelSpec, period: tuple[int, int]) -> str | None:
    """Return a line about a period that stretches the pattern too far, and sides that fit."""
    worst = stretch(spec, period)
    if worst <= MOST_STRETCH:
        return None
    fitting = [_fitting(spec, axis, repeat) for axis, repeat in enumerate(period) if repeat]
    height, width = fitting if len(fitting) == 2 else 2 * fitting
    sides = {"width": width if period[1] else [], "height": height if period[0] else []}
    words = ", ".join(
        f"{name} {' or '.join(map(str, those))}" for name, those in sides.items() if those
    )
    return (
        f"to repeat after {' and '.join(str(each) for each in reversed(period) if each)} pixels "
        f"the regular pattern is stretched by {worst:.0%}; "
        + (f"sizes that fit: {words}" if words else "a larger size fits better")
    )


def _fitting(spec: ModelSpec, axis: int, period: int) -> list[int]:
    """Return the nearest periods, one below and one above, that one axis hardly stretches."""
    found = []
    for direction in (-1, 1):
        for number in range(1, 1 + max(8, period // spec.stride)):
            side = period + direction * number * spec.stride
            pair = (side, 0) if axis == 0 else (0, side)
            if side > 0 and stretch(spec, pair) <= MOST_STRETCH:
                found.append(side)
                break
    return found
