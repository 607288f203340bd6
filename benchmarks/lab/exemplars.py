"""Both presets and Gatys on a set of exemplars: what tn-train, tn-export, tn-run and tn-bench make.

python benchmarks/lab/exemplars.py make EXEMPLAR... --output FOLDER --minutes 5
python benchmarks/lab/exemplars.py table FOLDER >>recipe.md
python benchmarks/lab/exemplars.py sheet FOLDER sheet.jpg

`make` does what is not there yet, so several of them can share the work. All see an exemplar at 256
pixels; samples have 512, Gatys' picture the exemplar's size.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from tn_bench.picture import to_pixels
from tn_runtime.console import note, result, run
from tn_runtime.image import Picture, Pixels, read_rgb, write_picture
from tn_train.data import read_exemplar

PRESETS = ("paper", "funnel")
SIDE = 512
"""Of samples, pixels."""
GAP = 8
GATYS_STEPS = 250
MEASURES = {
    "loss": "style, trained layers",
    "structure": "style, unseen layers at 1/2",
    "marginals": "marginals relu4_3",
    "pixels": "patches 1x",
}
"""What the table shows, and its names in `tn-bench quality`."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def make(
    exemplars: list[Path],
    output: Annotated[Path, typer.Option()],
    minutes: Annotated[float, typer.Option()] = 5.0,
) -> None:
    """Train both presets on each exemplar, make a sample of each, and Gatys' picture; measure."""
    output.mkdir(parents=True, exist_ok=True)
    for path in exemplars:
        pictures = [output / f"{path.stem}.{preset}.png" for preset in PRESETS]
        for preset, sample in zip(PRESETS, pictures, strict=True):
            with _claimed(sample) as ours:
                if ours:
                    _make_sample(path, preset, sample, minutes)
        gatys = output / f"{path.stem}.gatys.png"
        with _claimed(gatys) as ours:
            if ours:
                steps = ("--steps", GATYS_STEPS, "--variation", 0.1)
                _call("tn_bench", "gatys", path, "-o", gatys, *steps)
        if not all(each.stat().st_size for each in (*pictures, gatys)):
            continue  # somebody else is at it, and will measure
        with _claimed(output / f"{path.stem}.json") as ours:
            if ours:
                words = ("quality", path, *pictures, "--gatys", gatys, "--json")
                facts = json.loads(_call("tn_bench", *words))
                measured = json.dumps(facts | {"path": str(path)})
                (output / f"{path.stem}.json").write_text(measured)


def _make_sample(path: Path, preset: str, sample: Path, minutes: float) -> None:
    trained, model = sample.with_suffix(".pt"), sample.with_suffix(".onnx")
    asked = ("--preset", preset, "--minutes", minutes, "--device", "cpu")
    _call("tn_train", "texture", path, "-o", trained, *asked)
    _call("tn_export", trained, "-o", model)
    _call("tn_runtime", "texture", model, "-o", sample, "--size", SIDE, "--seed", 1)


@app.command()
def table(folder: Path) -> None:
    """Print a row for each exemplar, and the medians of the ratios to Gatys' picture."""
    columns = ("floor", "Gatys", *PRESETS)
    heads = [f"{measure}: {', '.join(columns)}" for measure in MEASURES]
    result(f"| exemplar | {' | '.join(heads)} |")
    result("|---" * (1 + len(heads)) + "|")
    ratios: dict[str, list[list[float]]] = {measure: [] for measure in MEASURES}
    for path in _measured(folder):
        rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
        cells = []
        for measure, name in MEASURES.items():
            row = rows[name]
            ratios[measure].append([each / row["gatys"] for each in row["pictures"]])
            values = (row["floor"], row["gatys"], *row["pictures"])
            cells.append(", ".join(f"{value:.3f}" for value in values))
        result(f"| {path.stem} | {' | '.join(cells)} |")
    medians = [
        ", ".join(f"{median(column):.2f}" for column in zip(*rows, strict=True))
        for rows in ratios.values()
    ]
    result(f"| median, times Gatys' ({', '.join(PRESETS)}) | {' | '.join(medians)} |")


@app.command()
def sheet(folder: Path, output: Path) -> None:
    """Put the exemplar, Gatys' picture below it, and samples of both presets side by side."""
    rows = []
    for path in _measured(folder):
        exemplar = read_exemplar(Path(json.loads(path.read_text())["path"]), size=256)[0][0]
        names = [f"{path.stem}.{which}.png" for which in ("gatys", *PRESETS)]
        rows.append([to_pixels(exemplar), *(read_rgb(folder / name) for name in names)])
    cell = SIDE + GAP
    half = SIDE // 2
    whole = np.full((len(rows) * cell - GAP, half + 2 * cell, 3), 255, np.uint8)
    for row, (small, gatys, *samples) in enumerate(rows):
        top = whole[row * cell :]
        _place(top, small)
        _place(top[half + GAP : SIDE], gatys)
        for column, sample in enumerate(samples):
            _place(top[:, half + GAP + column * cell :], sample)
    height, width, _ = whole.shape
    write_picture(output, Picture([whole], height, width, {}))


def _place(canvas: Pixels, picture: Pixels) -> None:
    """Put a picture at the top left, as much of it as there is room for."""
    height, width = (min(picture.shape[axis], canvas.shape[axis], SIDE) for axis in (0, 1))
    canvas[:height, :width] = picture[:height, :width]


def _measured(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.json")) if path.stat().st_size]


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Tell whether nobody made this, or is at it; then it is ours, unless we fail."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        yield False
        return
    try:
        yield True
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _call(package: str, *words: Any) -> str:  # noqa: ANN401 - words of any type
    note(f"{package} {' '.join(map(str, words))}")
    code = f"from {package}.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ
    ).stdout


if __name__ == "__main__":
    run(app)
