"""Measures against the eye: spoil an exemplar in known ways; compare orders of pictures.

python benchmarks/lab/eye.py spoil EXEMPLAR FOLDER
tn-bench quality EXEMPLAR PICTURE... --json >measured.json
python benchmarks/lab/eye.py rank measured.json ORDER...

ORDER are the names of the pictures, best first, as somebody who looked at them puts them; with
`=` between two names of equal rank.
"""

import json
from pathlib import Path

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from tn_bench.picture import enlarged, reduced, to_pixels
from tn_runtime.console import result, run
from tn_runtime.errors import RequestError
from tn_runtime.pictures import Rows, save
from tn_train.data import read_exemplar

SQUARE = 16
"""Side of the patches that are shuffled, pixels."""
NOISE = 0.08
"""Standard deviation of the pixel noise."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def spoil(exemplar: Path, folder: Path, size: int = 256) -> None:
    """Write the exemplar, a crop of it, and blurred, noisy, shuffled, wrongly coloured ones."""
    picture = read_exemplar(exemplar, size=size)[0][0]
    rng = torch.Generator().manual_seed(0)
    made = {
        "exemplar": picture,
        "crop": picture[:, 32:224, 32:224],
        "blurred": _blurred(picture),
        "noisy": picture + NOISE * torch.randn(picture.shape, generator=rng),
        "shuffled": _shuffled(picture, rng),
        "colour": picture[[1, 2, 0]],
    }
    for name, each in made.items():
        pixels = to_pixels(each)
        save(folder / f"{name}.png", Rows.of_array(pixels))


@app.command()
def rank(measured: Path, order: list[str]) -> None:
    """Print each measure's rank correlation (Spearman) with the order, the best agreement first."""
    facts = json.loads(measured.read_text())
    names = [Path(path).stem for path in facts["pictures"]]
    eye = {name: place for place, names in enumerate(order) for name in names.split("=")}
    if set(eye) != set(names):
        raise RequestError(f"the order must name each of these once: {', '.join(names)}")
    places = np.array([eye[name] for name in names], float)
    found = {row["name"]: spearman(places, np.array(row["pictures"])) for row in facts["rows"]}
    for name, value in sorted(found.items(), key=lambda item: -item[1]):
        result(f"{value:6.2f}  {name}")


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the correlation of the ranks of two sequences (N,), ties sharing their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    below = (values[None] < values[:, None]).sum(axis=1)
    equal = (values[None] == values[:, None]).sum(axis=1)
    ranks: NDArray[np.float64] = below + (equal - 1) / 2
    return ranks


def _blurred(picture: Tensor) -> Tensor:
    return enlarged(reduced(reduced(picture)), *picture.shape[-2:])


def _shuffled(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Return the picture's squares in another order; what does not fill a square is left out."""
    squares = picture.unfold(1, SQUARE, SQUARE).unfold(2, SQUARE, SQUARE)
    down, across = squares.shape[1:3]
    flat = squares.flatten(1, 2)
    flat = flat[:, torch.randperm(flat.shape[1], generator=rng)]
    rows: Tensor = flat.reshape(3, down, across, SQUARE, SQUARE).permute(0, 1, 3, 2, 4)
    return rows.reshape(3, down * SQUARE, across * SQUARE)


if __name__ == "__main__":
    run(app)
