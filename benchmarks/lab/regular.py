"""Regular patterns: pictures of two, and how straight the courses of pictures run.

python benchmarks/lab/regular.py board BOARD.png
python benchmarks/lab/regular.py floor FLOOR.png
python benchmarks/lab/regular.py table EXEMPLAR PICTURE... >>regular.md

A picture has the exemplar's scale, and is larger: 4096 pixels show ten periods of most.
"""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from torch import Tensor

from tn_bench.measures.repetition import autocorrelation
from tn_bench.picture import to_tensor
from tn_runtime.console import result, run
from tn_runtime.errors import RequestError
from tn_runtime.pictures import Rows, read, save
from tn_runtime.pixels import from_unit
from tn_train.config import Wave
from tn_train.data import read_exemplar
from tn_train.lattice import find_waves
from tn_train.refinement import halved
from tn_train.waves import HALF_TURN

SIDE = 512
"""Side of the pictures that are drawn, pixels."""
NOISE = 0.03
"""Standard deviation of the noise on them."""
COARSE = 256
"""Longest side, about, at which an exemplar and pictures of it are measured, pixels."""
FAR = 10
"""Periods."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def board(output: Path) -> None:
    """Draw a checkerboard of squares of 32 pixels."""
    rows, columns = np.indices((SIDE, SIDE)) // 32
    _draw(output, np.where((rows + columns) % 2, 0.75, 0.25)[..., None] * [1.0, 0.95, 0.85])


@app.command()
def floor(output: Path) -> None:
    """Draw a floor of tiles of 64 x 40 pixels in many tones, with joints."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE))
    tones = 0.45 + 0.35 * rng.random((SIDE // 40 + 1, SIDE // 64 + 1, 1)) * [1.0, 0.8, 0.6]
    joint = (rows % 40 < 4) | (columns % 64 < 4)
    _draw(output, np.where(joint[..., None], 0.15, tones[rows // 40, columns // 64]))


@app.command()
def table(
    exemplar: Path,
    pictures: list[Path],
    size: Annotated[int, typer.Option(help="Longest side of the exemplar in training.")] = 1024,
) -> None:
    """Print the peak of the autocorrelation at many periods; the exemplar's where it has them."""
    original, _ = read_exemplar(exemplar, size=size)
    octave = max(0, round(math.log2(max(original.shape[-2:]) / COARSE)))
    small = halved(original, octave)[0]
    shown = [halved(to_tensor(read(each).srgb())[None], octave)[0] for each in pictures]
    waves = find_waves(small[None])
    if not waves:
        raise RequestError(f"{exemplar} is not regular: it has no waves")
    heads = " | ".join(each.stem for each in pictures)
    result(f"| {exemplar.stem} | periods | exemplar | {heads} |")
    result("|---" * (3 + len(pictures)) + "|")
    for period in _periods(waves):
        held = int(0.6 * min(small.shape[-2:]) / max(map(abs, period)))
        for count in dict.fromkeys((held, FAR)):
            its = f"{_peak(small, period, count):.2f}" if count <= held else "-"
            cells = " | ".join(f"{_peak(each, period, count):.2f}" for each in shown)
            steps = ", ".join(f"{each * 2**octave:.0f}" for each in period)
            result(f"| every ({steps}) px | {count} | {its} | {cells} |")


def _periods(waves: tuple[Wave, ...]) -> list[tuple[float, float]]:
    """Return the shortest shifts (y, x), pixels, that turn each wave by whole cycles."""
    vectors = np.array([(each.y, each.x) for each in waves]) / HALF_TURN
    return [(float(y), float(x)) for y, x in np.linalg.pinv(vectors).T]


def _peak(picture: Tensor, period: tuple[float, float], count: int) -> float:
    """Return the highest correlation within a quarter of a period of so many periods."""
    place = [count * each for each in period]
    radius = max(1, round(math.hypot(*period) / 4))
    down, across = (math.ceil(abs(each)) + radius for each in place)
    if any(reach >= side for reach, side in zip((down, across), picture.shape[-2:], strict=True)):
        raise RequestError(f"{count} periods do not fit a picture of {tuple(picture.shape[-2:])}")
    found = autocorrelation(picture, down, across)
    y, x = round(place[0]) + down, round(place[1]) + across
    near = found[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return float(near.max())


def _draw(output: Path, picture: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0, NOISE, (SIDE, SIDE, 3))
    save(output, Rows.of_array(from_unit((picture + noise).astype(np.float32))))


if __name__ == "__main__":
    run(app)
