"""The waves of a regular pattern: where a pixel lies in each period (PSGAN, arXiv 1705.06566).

A generator of a regular texture gets, beside the noise, the sine and the cosine of each wave's
phase. Phases are integers, uint32 fixed point of a turn, and the sine is a table, so that a wave is
the same to the bit wherever it is computed: this is the reference of the exported program.

With a period of the plane, each wave vector is rounded to the nearest that fits it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tn_train.config import GeneratorConfig, Wave

Int64 = npt.NDArray[np.int64]
UInt32 = npt.NDArray[np.uint32]
Float32 = npt.NDArray[np.float32]

TURN = 2**32
"""A turn in fixed point."""
HALF_TURN = 2**31
QUARTER_TURN = 2**30
FEW = 4
"""A level does not see a wave that repeats after this many of its pixels or fewer. It would see the
same phases all over a picture, and others in the next picture: its statistics would depend on where
the picture begins, and training with BatchNorm diverges."""
DRIFT = 1 / 512
"""A wave counts as one that repeats if it is nearer to one than this, cycles per pixel: half a turn
over the 256 pixels of an exemplar."""
JITTER = 0.03
"""Largest relative change of a wave vector in training, in each direction: a period of the plane
rounds the vectors, and pictures must follow."""
ENTRIES = 2**12
"""Number of entries of the sine table."""
SINE = np.sin(2 * np.pi * (np.arange(ENTRIES) + 0.5) / ENTRIES).astype(np.float32)
"""The sine in the middle of each of the steps that a turn is cut into."""


def wave(y: float, x: float) -> Wave:
    """Return the wave of a vector in cycles per pixel, each at most half."""
    return Wave(round(y * HALF_TURN), round(x * HALF_TURN))


def wave_vectors(config: GeneratorConfig) -> tuple[tuple[float, float], ...]:
    """Return the (y, x) of each wave of a generator, cycles per pixel of its pictures."""
    scale = HALF_TURN << (config.wave_level - 1)
    return tuple((each.y / scale, each.x / scale) for each in config.waves)


def shown(config: GeneratorConfig, level: int) -> Float32:
    """Return which channels of waves a level of a generator sees.

    Returns:
        float32 (2 n,), 1 where it does and 0 where it does not: all sines, then all cosines.
    """
    vectors = np.array([(each.y, each.x) for each in config.waves]) / HALF_TURN
    few = np.zeros(len(vectors), dtype=bool)
    for count in range(1, FEW + 1):
        repeat = count << (level - config.wave_level + 1)  # pixels of the waves' own level
        drift = vectors - np.rint(repeat * vectors) / repeat
        few |= np.abs(drift).max(axis=1) < DRIFT
    return np.tile(~few, 2).astype(np.float32)


def phases(step: int, scale: int, places: Int64, period: int) -> UInt32:
    """Return the phases of a wave along one axis, uint32 (L,), in 2^-32 of a turn.

    Args:
        step: the wave's, along this axis.
        scale: pixels of the waves' level for a pixel of the places' level.
        places: int64 (L,), pixels; within the period, if there is one.
        period: pixels of the waves' level, 0 for none; at most 2^31.
    """
    # In half pixels: the centre of a pixel of a coarser level lies between two pixels.
    if not period:
        half_pixels = (places % TURN * (2 * scale) + scale - 1) % TURN
        return (step * half_pixels % TURN).astype(np.uint32)
    cycles = (step * period + QUARTER_TURN) // HALF_TURN
    travelled = cycles * (places * (2 * scale) + scale - 1) % (2 * period)
    return (travelled * HALF_TURN // period).astype(np.uint32)


def waves(
    those: Sequence[Wave],
    halvings: int,
    offsets: UInt32,
    places: Sequence[Int64],
    period: tuple[int, int] = (0, 0),
) -> Float32:
    """Evaluate waves on a grid.

    Args:
        those: n waves.
        halvings: how often the waves' own level is halved to that of the grid.
        offsets: uint32 (N, n), the phase of each wave at the first pixel of the waves' own level.
        places: (y, x), int64 (H,) and (W,), pixels of the grid's level; within the period, if there
            is one.
        period: (vertical, horizontal), pixels of the waves' own level; 0 for none.

    Returns:
        float32 (N, 2 n, H, W), -1 to 1: all sines, then all cosines.
    """
    steps = [each.y for each in those], [each.x for each in those]
    rows, columns = (
        np.stack([phases(step, 2**halvings, line, repeat) for step in own])
        for own, line, repeat in zip(steps, places, period, strict=True)
    )
    turned = rows[:, :, None] + columns[:, None, :] + offsets[..., None, None]
    turned = np.concatenate([turned, turned + np.uint32(QUARTER_TURN)], axis=1)
    planes: Float32 = SINE[turned // np.uint32(TURN // ENTRIES)]
    return planes
