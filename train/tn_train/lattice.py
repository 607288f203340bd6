"""The lattice of a regular pattern: its waves, found in the exemplar, and a loss that keeps them.

find_waves      exemplar -> waves, none for an irregular one
LatticeLoss     pictures, waves -> loss

A Gram matrix does not know where things are, and a descriptor sees no further than 100 pixels:
without this loss courses of bricks bend. The mean colour at each phase of the waves is a statistic
of any range.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tn_train.config import Wave
from tn_train.waves import HALF_TURN, JITTER, wave

Pixels = npt.NDArray[np.float64]

Vector = tuple[float, float]
"""A wave's (y, x), cycles per pixel."""

FEWEST_PERIODS = 3.5
"""In the exemplar's shorter side; fewer are no evidence."""
SHORTEST_PERIOD = 5
"""Pixels. The descriptor sees shorter periods itself."""
SHARE = 0.02
"""Least share of a wave in the exemplar's variance. The waves of stones, leaves and bark that are
as strong as this are not coherent, those of bricks, tiles and weave are."""
COHERENCE = 0.5
"""Least coherence of a wave, of its phase in 3x3 parts of the exemplar: 1 for a drawn pattern, up
to 0.4 for irregular textures, 0.5 to 0.9 for photos of tiles, weave and courses."""
PARTS = 3
CANDIDATES = 8
MOST = 2
"""Waves at most: two span all that repeats."""
PRECISION = 1e-5
"""Precision of a wave vector, cycles per pixel."""
HARMONICS = 4
"""The highest harmonic of each wave that is compared."""
MULTIPLES = 10
"""Peaks at multiples of known waves, up to this one, and at sums of them are no new waves."""
NEAR = 0.004
"""Cycles per pixel, between vectors that are taken for the same: one cycle in 256 pixels."""


def find_waves(exemplar: Tensor) -> tuple[Wave, ...]:
    """Return the waves of a regular exemplar; none of an irregular one.

    The waves are one or two peaks of the spectrum. All other peaks should be sums of them, so the
    choice that explains most of the power is taken; of equal choices the one with fewer waves, then
    the one with the longest periods. The two strongest peaks are not enough: where two kinds of
    ornaments alternate, they do not tell one row from the next.

    Args:
        exemplar: float32 (1, 3, H, W), RGB.
    """
    pixels = exemplar[0].permute(1, 2, 0).double().cpu().numpy()
    weighted = _weighted(pixels)
    refined = [_refined(weighted, *candidate) for candidate in _candidates(weighted)]
    peaks = [each for each in refined if _coherence(pixels, each) >= COHERENCE]
    powers = [_power(weighted, each) for each in peaks]

    def merit(basis: tuple[Vector, ...]) -> tuple[float, int, float]:
        sums = _sums(basis)
        explained = (any(_near(peak, each) for each in sums) for peak in peaks)
        power = sum(itertools.compress(powers, explained))
        return power, -len(basis), -sum(math.hypot(*vector) for vector in basis)

    counts = range(1, MOST + 1)
    bases = (basis for count in counts for basis in itertools.combinations(peaks, count))
    return tuple(wave(*vector) for vector in max(bases, key=merit, default=()))


class LatticeLoss(nn.Module):
    """The difference of the mean colours at each phase of the waves from the exemplar's.

    They are compared as coefficients of a Fourier series: the mean of colour * exp(-i (n a + m b))
    over the picture, of the phases a and b of two waves; n and m go up to `HARMONICS`, as far as
    pixels can show them. The loss is the mean squared difference between the patterns that the two
    series describe.
    """

    def __init__(self, exemplar: Tensor, waves: tuple[Wave, ...]) -> None:
        """Measure the exemplar, float32 (1, 3, H, W), RGB in [0, 1], whose waves these are."""
        super().__init__()
        numbers = itertools.product(range(-HARMONICS, HARMONICS + 1), repeat=len(waves))
        half = [each for each in numbers if each > (0,) * len(waves)]  # the others are conjugates
        steps = np.array([(each.y, each.x) for each in waves]) / HALF_TURN
        fastest = np.abs(np.array(half) @ steps).max(axis=1) * (1 + JITTER)
        # Harmonics beyond half a cycle per pixel are aliases: their phase turns the other way.
        self.numbers = torch.tensor(np.array(half)[fastest < 0.5], dtype=torch.float64)  # (M, n)
        offsets = torch.zeros(1, len(waves), dtype=torch.float64)
        self.target = nn.Buffer(self._coefficients(exemplar, waves, offsets))

    def forward(self, pictures: Tensor, waves: tuple[Wave, ...], offsets: Tensor) -> Tensor:
        """Return the loss, a float32 scalar.

        Args:
            pictures: float32 (N, 3, H, W).
            waves: those that the pictures were made with.
            offsets: float64 (N, n), the phase of each wave at the first pixel, turns, on the CPU.
        """
        difference = self._coefficients(pictures, waves, offsets) - self.target
        return 2 * difference.square().sum(dim=(2, 3)).mean()

    def _coefficients(self, pictures: Tensor, waves: tuple[Wave, ...], offsets: Tensor) -> Tensor:
        """Return the cosine and sine parts, float32 (N, 3, 2, M).

        A window gives edges less weight, because a wave does not end there. Phases are computed in
        float64 on the CPU: not every device has float64.
        """
        steps = torch.tensor([(each.y, each.x) for each in waves], dtype=torch.float64) / HALF_TURN
        down, across = (
            torch.arange(side)[:, None] * along @ self.numbers.T
            for side, along in zip(pictures.shape[-2:], steps.T, strict=True)
        )
        turns = offsets @ self.numbers.T  # (N, M)
        rows, columns = (_faded(each).to(pictures) for each in (turns[:, None] + down, across))
        along = torch.einsum("nchw,pwm->pnchm", pictures, columns)
        cosine, sine = (torch.einsum("pnchm,nhm->pncm", along, each) for each in rows)
        return torch.stack([cosine[0] - sine[1], sine[0] + cosine[1]], dim=2)


def _faded(turns: Tensor) -> Tensor:
    """Return cosine and sine of turns (..., L, M), weighted by a window that sums up to 1."""
    window = torch.hann_window(turns.shape[-2] + 2, periodic=False, dtype=turns.dtype)[1:-1, None]
    angles = 2 * torch.pi * turns
    return torch.stack([angles.cos(), angles.sin()]) * window / window.sum()


def _candidates(weighted: Pixels) -> list[Vector]:
    """Return the peaks of the power spectrum that are strong enough, cycles per pixel."""
    sides = weighted.shape[:2]
    power = (np.abs(np.fft.fft2(weighted, axes=(0, 1))) ** 2).sum(axis=-1)
    near = [np.roll(power, shift, (0, 1)) for shift in itertools.product((-1, 0, 1), repeat=2)]
    peak = np.sum(near, axis=0)  # the window spreads a wave over so much
    around = itertools.product((-2, -1, 0, 1, 2), repeat=2)
    highest = np.all([peak >= np.roll(peak, shift, (0, 1)) for shift in around], axis=0)
    y, x = (np.fft.fftfreq(side) for side in sides)
    y, x = np.broadcast_arrays(y[:, None], x)
    frequency = np.hypot(y, x)
    wanted = (frequency > FEWEST_PERIODS / min(sides)) & (frequency < 1 / SHORTEST_PERIOD)
    half = (y > 0) | ((y == 0) & (x > 0))
    strong = 2 * peak >= SHARE * max(power.sum(), np.finfo(float).tiny)
    rows, columns = np.nonzero(highest & wanted & half & strong)
    order = np.argsort(-peak[rows, columns])[:CANDIDATES]
    peaks = zip(rows[order], columns[order], strict=True)
    return [(float(y[row, 0]), float(x[0, column])) for row, column in peaks]


def _weighted(pixels: Pixels) -> Pixels:
    """Return a picture without its mean, faded out towards its edges."""
    rows, columns = (np.hanning(side + 2)[1:-1] for side in pixels.shape[:2])
    window = (rows[:, None] * columns)[..., None]
    mean = (pixels * window).sum(axis=(0, 1)) / window.sum()
    weighted: Pixels = (pixels - mean) * window
    return weighted


def _component(
    weighted: Pixels, vector: Vector, corner: tuple[int, int]
) -> npt.NDArray[np.complex128]:
    """Return the complex amplitude of a wave in each colour, of a part at that corner."""
    rows, columns = (
        np.exp(-2j * np.pi * cycles * (first + np.arange(side)))
        for cycles, first, side in zip(vector, corner, weighted.shape, strict=False)
    )
    amplitude: npt.NDArray[np.complex128]
    amplitude = np.einsum("h,hwc,w->c", rows, weighted, columns, optimize=True)
    return amplitude


def _power(weighted: Pixels, vector: Vector) -> float:
    """Return the power of a wave, all colours added up."""
    return float((np.abs(_component(weighted, vector, (0, 0))) ** 2).sum())


def _refined(weighted: Pixels, y: float, x: float) -> Vector:
    """Return the vector near this one where the power is largest."""
    power = functools.partial(_power, weighted)
    best, step = (y, x), 0.5 / max(weighted.shape[:2])
    while step > PRECISION:
        y, x = best
        better = max([best, (y + step, x), (y - step, x), (y, x + step), (y, x - step)], key=power)
        if better == best:
            step /= 2
        best = better
    return best


def _coherence(pixels: Pixels, vector: Vector) -> float:
    """Return how much the phase of a wave is the same in all parts of a picture, 0 to 1."""
    amplitudes, top = [], 0
    for row in np.array_split(pixels, PARTS, axis=0):
        left = 0
        for part in np.array_split(row, PARTS, axis=1):
            amplitudes.append(_component(_weighted(part), vector, (top, left)))
            left += part.shape[1]
        top += row.shape[0]
    parts = np.array(amplitudes)
    total = len(parts) * (np.abs(parts) ** 2).sum()
    return float((np.abs(parts.sum(axis=0)) ** 2).sum() / max(total, np.finfo(float).tiny))


def _sums(vectors: Sequence[Vector]) -> list[Vector]:
    """Return whole multiples of vectors and of their sums, which the vectors stand for."""
    numbers = itertools.product(range(-MULTIPLES, MULTIPLES + 1), repeat=len(vectors))
    return [
        (
            sum(n * y for n, (y, _) in zip(each, vectors, strict=True)),
            sum(n * x for n, (_, x) in zip(each, vectors, strict=True)),
        )
        for each in numbers
    ]


def _near(a: Vector, b: Vector) -> bool:
    return math.hypot(a[0] - b[0], a[1] - b[1]) < NEAR
