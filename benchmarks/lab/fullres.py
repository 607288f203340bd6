"""Textures at the photo's own size, beside those of a smaller exemplar, enlarged: figures, a sheet.

python benchmarks/lab/fullres.py enlarge SMALL.png LARGE.png --by 4
python benchmarks/lab/fullres.py table EXEMPLAR PICTURE... >>fullres.md
python benchmarks/lab/fullres.py sheet OUT.png EXEMPLAR PICTURE...

All pictures have the exemplar's scale. It is reduced to 1024 pixels, as by default in training.
"""

import math
from pathlib import Path
from typing import Annotated

import torch.nn.functional as F
import typer
from torch import Tensor

from tn_bench.measures.quality import Settings, measure
from tn_bench.picture import enlarged, to_pixels, to_tensor
from tn_runtime.console import result, run
from tn_runtime.pictures import Rows, read, save, side_by_side
from tn_train.data import read_exemplar

OCTAVES = 4
"""The measures look at 1, 1/2, 1/4 and 1/8 of the size."""
SIZE = 1024
"""Longest side of the exemplar, pixels."""
PART = 512
"""Side of what a sheet shows of each picture, pixels, 1:1."""
MEASURES = {
    "structure": "style, unseen layers at 1/2",
    "marginals": "marginals relu4_3",
    "pixels": "patches 1x",
}
"""What the table shows, and its names in `tn-bench quality`."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def enlarge(picture: Path, output: Path, by: Annotated[int, typer.Option(min=2)]) -> None:
    """Enlarge a picture by a bicubic filter."""
    small = to_tensor(read(picture).srgb())
    _, height, width = small.shape
    save(output, Rows.of_array(to_pixels(enlarged(small, by * height, by * width).clamp(0, 1))))


@app.command()
def table(exemplar: Path, pictures: list[Path]) -> None:
    """Print measures of pictures at each octave; the floor is between halves of the exemplar.

    An octave at which the exemplar is too small to be measured is left out.
    """
    original = _exemplar(exemplar)
    shown = [to_tensor(read(each).srgb())[None] for each in pictures]
    heads = " | ".join(each.stem for each in pictures)
    result(f"| {exemplar.stem} | at | floor | {heads} |")
    result("|---" * (3 + len(pictures)) + "|")
    octaves = int(math.log2(min(original.shape[-2:]) / Settings().smallest)) + 1
    for octave in range(min(OCTAVES, octaves)):
        reduced = [to_pixels(F.avg_pool2d(each, 2**octave)[0]) for each in (original, *shown)]
        rows = {row.name: row for row in measure(reduced[0], reduced[1:]).rows}
        for name, measured in MEASURES.items():
            row = rows[measured]
            cells = " | ".join(f"{each:.3f}" for each in (row.floor, *row.pictures))
            result(f"| {name} | 1/{2**octave} | {cells} |")


@app.command()
def sheet(output: Path, exemplar: Path, pictures: list[Path]) -> None:
    """Put the same part of the exemplar and of pictures side by side, 1:1."""
    shown = [to_pixels(_exemplar(exemplar)[0]), *(read(each).srgb() for each in pictures)]
    save(output, Rows.of_array(side_by_side([each[:PART, :PART] for each in shown])))


def _exemplar(path: Path) -> Tensor:
    """Return an exemplar, float32 (1, 3, H, W), RGB in [0, 1]."""
    pixels, _ = read_exemplar(path, size=SIZE)
    return pixels


if __name__ == "__main__":
    run(app)
