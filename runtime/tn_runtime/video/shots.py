"""Where a shot ends: frames between two cuts share their statistics.

A cut is where the histogram of colours changes at once and stays changed: the frame differs from
the one before, and so does the one after it. A flash comes back, and is no cut. A pan changes the
histogram slowly, and a fade does, too: both stay one shot. A cut between pictures of equal colours
is missed, and does no harm, as their statistics are alike.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tn_runtime.pixels import Pixels

THRESHOLD = 0.32
"""Distance of two histograms from which on there is a cut. Consecutive frames of a pan have 0.01 to
0.03, those of a fade within a second up to 0.3, and 97 of 100 pairs of photos have more
(benchmarks/lab/video.md)."""

BINS = 5
"""Boxes of each colour."""

MOST_SAMPLES = 8
"""Frames of a shot that are measured, at most."""


@dataclass
class Shot:
    """The frames between two cuts."""

    frames: int = 0
    samples: list[Pixels] = field(default_factory=list)
    """Some of them, evenly spread: from half of `MOST_SAMPLES` on in a long shot."""
    _step: int = 1

    def add(self, frame: Pixels) -> None:
        """Count a frame, uint8 (H, W, 3), and keep it where it is one of the evenly spread."""
        if self.frames % self._step == 0:
            if len(self.samples) == MOST_SAMPLES:
                del self.samples[1::2]
                self._step *= 2
            if self.frames % self._step == 0:
                self.samples.append(frame)
        self.frames += 1


def shots(frames: Iterable[Pixels]) -> Iterator[Shot]:
    """Yield the shots of a video, each as soon as it ends.

    Args:
        frames: uint8 (H, W, 3), reduced; all are counted, and few are kept.
    """
    shot, before = Shot(), np.empty(0)
    for frame, following in itertools.pairwise(_with_end(frames)):
        assert frame is not None  # only the last is
        now = histogram(frame)
        after = now if following is None else histogram(following)
        changed = before.size > 0 and distance(before, now) > THRESHOLD
        flash = changed and distance(before, after) <= THRESHOLD
        if changed and not flash:
            yield shot
            shot = Shot()
        shot.add(frame)
        before = before if flash else now
    if shot.frames:
        yield shot


def histogram(frame: Pixels) -> NDArray[np.float64]:
    """Return the share of pixels in each of BINS^3 boxes of colours, of uint8 (H, W, 3).

    A pixel counts for the eight boxes around its colour, for each the more the nearer it is: noise
    moves no flat area from one box to the next.
    """
    place = frame[::2, ::2].reshape(-1, 3) * ((BINS - 1) / 255)
    below = np.minimum(place.astype(np.int64), BINS - 2)
    share = place - below
    counts = np.zeros(BINS**3)
    for corner in itertools.product((0, 1), repeat=3):
        boxes = (below + corner) @ (BINS * BINS, BINS, 1)
        weights = np.where(corner, share, 1 - share).prod(axis=1)
        counts += np.bincount(boxes, weights, minlength=BINS**3)
    return counts / len(place)


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the part of the pixels that lie in other boxes, 0 to 1."""
    return float(np.abs(first - second).sum() / 2)


def _with_end(frames: Iterable[Pixels]) -> Iterator[Pixels | None]:
    yield from frames
    yield None
