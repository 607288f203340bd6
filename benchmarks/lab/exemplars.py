"""Both presets and Gatys on a set of exemplars: what tn-train, tn-export, tn-run and tn-bench make.

python benchmarks/lab/exemplars.py make EXEMPLAR... --output FOLDER --minutes 5 --minutes 15
python benchmarks/lab/exemplars.py table FOLDER >>recipe.md
python benchmarks/lab/exemplars.py sheet FOLDER sheet.jpg STEM... --minutes 15

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

import typer

from tn_bench.picture import to_pixels
from tn_runtime.console import note, result, run
from tn_runtime.pictures import Rows, below_one_another, read, save, side_by_side
from tn_runtime.pixels import Pixels
from tn_train.data import read_exemplar

PRESETS = ["paper", "funnel"]
SIDE = 512
"""Side of the samples, pixels."""
GATYS = "gatys"
GATYS_STEPS = 250
MEASURES = {
    "structure": "style, unseen layers at 1/2",
    "marginals": "marginals relu4_3",
    "pixels": "patches 1x",
    "loss": "style, trained layers",
}
"""What the table shows, and its names in `tn-bench quality`."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def make(
    exemplars: list[Path],
    output: Annotated[Path, typer.Option()],
    minutes: Annotated[list[int], typer.Option()],
    presets: Annotated[list[str], typer.Option("--preset")] = PRESETS,
) -> None:
    """Train the presets on each exemplar, make a sample of each, and Gatys' picture; measure.

    What is made is `EXEMPLAR.PRESET.MINUTES.png` and `EXEMPLAR.gatys.png`, its measures a `.json`.
    """
    output.mkdir(parents=True, exist_ok=True)
    for path in exemplars:
        gatys = output / f"{path.stem}.{GATYS}.png"
        steps = ("--steps", GATYS_STEPS, "--variation", 0.1)
        with _claimed(gatys) as ours:
            if ours:
                _call("tn_bench", "gatys", path, "-o", gatys, *steps)
                _measure(path, gatys)
        for each in minutes:
            for preset in presets:
                sample = output / f"{path.stem}.{preset}.{each}.png"
                with _claimed(sample) as ours:
                    if ours:
                        _make_sample(path, preset, sample, each)
                        _measure(path, sample)


def _make_sample(path: Path, preset: str, sample: Path, minutes: int) -> None:
    trained, model = sample.with_suffix(".pt"), sample.with_suffix(".onnx")
    asked = ("--preset", preset, "--size", 256, "--minutes", minutes, "--device", "cpu")
    _call("tn_train", "texture", path, "-o", trained, *asked)
    _call("tn_export", trained, "-o", model)
    _call("tn_runtime", "texture", model, "-o", sample, "--size", SIDE, "--seed", 1)


def _measure(path: Path, picture: Path) -> None:
    facts = json.loads(_call("tn_bench", "quality", path, picture, "--json"))
    picture.with_suffix(".json").write_text(json.dumps(facts | {"exemplar": str(path)}))


@app.command()
def table(folder: Path) -> None:
    """Print, for each measure, a row for each exemplar, and the median ratios to Gatys' picture."""
    measured = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
    stems = [name.partition(".")[0] for name in measured if name.endswith(f".{GATYS}")]
    runs = sorted({name.partition(".")[2] for name in measured} - {GATYS}, key=_run_order)
    heads = [each.replace(".", " ") for each in runs]
    result(f"| measure | exemplar | floor | Gatys | {' | '.join(heads)} |")
    result("|---" * (4 + len(heads)) + "|")
    for measure, name in MEASURES.items():
        ratios: dict[str, list[float]] = {each: [] for each in runs}
        for stem in stems:
            gatys = measured[f"{stem}.{GATYS}"][name]
            cells = [f"{gatys['floor']:.3f}", f"{gatys['pictures'][0]:.3f}"]
            for each in runs:
                row = measured.get(f"{stem}.{each}")
                cells.append(f"{row[name]['pictures'][0]:.3f}" if row else "")
                if row:
                    ratios[each].append(row[name]["pictures"][0] / gatys["pictures"][0])
            result(f"| {measure} | {stem} | {' | '.join(cells)} |")
        medians = [f"{median(ratios[each]):.2f}" for each in runs]
        result(f"| {measure} | **median, times Gatys'** | | 1 | {' | '.join(medians)} |")


def _read(path: Path) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(path.read_text())["rows"]}


def _run_order(run: str) -> tuple[int, int]:
    preset, _, minutes = run.partition(".")
    return PRESETS.index(preset), int(minutes)


@app.command()
def sheet(
    folder: Path,
    output: Path,
    exemplars: list[str],
    minutes: Annotated[int, typer.Option()],
) -> None:
    """Put the exemplar, Gatys' picture below it, and samples of both presets side by side."""
    rows = []
    for stem in exemplars:
        gatys = folder / f"{stem}.{GATYS}.png"
        path = Path(json.loads(gatys.with_suffix(".json").read_text())["exemplar"])
        exemplar = to_pixels(read_exemplar(path, size=256)[0][0])
        samples = [folder / f"{stem}.{preset}.{minutes}.png" for preset in PRESETS]
        below, *beside = (read(each).srgb() for each in (gatys, *samples))
        column = below_one_another([exemplar, _part(below, SIDE // 2)])
        rows.append(side_by_side([column, *(_part(each, SIDE) for each in beside)]))
    save(output, Rows.of_array(below_one_another(rows)))


def _part(picture: Pixels, side: int) -> Pixels:
    """Return the top left of a picture, as much of it as there is room for."""
    return picture[:side, :side]


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
