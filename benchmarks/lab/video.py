"""Video: how steady it is, and how fast.

python benchmarks/lab/video.py steadiness MODEL PHOTO...
python benchmarks/lab/video.py speed MODEL PHOTO [--size 1280x720] [--frames 48]

A camera that moves over a photo by whole pixels makes the clips: the motion is known exactly.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from numpy.typing import NDArray

from tn_runtime import load, stylize
from tn_runtime.console import result, run
from tn_runtime.pictures import read
from tn_runtime.pixels import Pixels
from tn_runtime.session import Model
from tn_runtime.stylization import Options
from tn_runtime.video.painting import painted, scenes

STEP = (1, 2)
"""The camera's motion from one frame to the next, (down, right), pixels."""
NOISE = 2.0
"""Standard deviation of the camera's noise, levels."""
AVERAGES = (0.5, 0.8)
"""Weights of the last picture in an exponential average of the pictures."""
MARGIN = 8
"""Pixels at the edges that are not compared."""

app = typer.Typer(add_completion=False, no_args_is_help=True)


def clip(photo: Pixels, size: tuple[int, int], count: int, noise: float) -> Iterator[Pixels]:
    """Yield the frames of a moving camera, uint8 (H, W, 3)."""
    rng = np.random.default_rng(0)
    height, width = size
    for number in range(count):
        y, x = number * STEP[0], number * STEP[1]
        frame = photo[y : y + height, x : x + width].astype(np.float32)
        yield np.rint(frame + rng.normal(0, noise, frame.shape)).clip(0, 255).astype(np.uint8)


def visitor(photo: Pixels, size: tuple[int, int], count: int) -> Iterator[Pixels]:
    """Yield the frames of a still camera; a white ball crosses the lowest part, uint8 (H, W, 3)."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    radius = height // 8
    for number in range(count):
        frame = photo[:height, :width].copy()
        x = (number + 1) * (width + 2 * radius) // (count + 1) - radius
        frame[(rows - height + radius) ** 2 + (columns - x) ** 2 < radius**2] = 255
        yield frame


def change(pictures: list[NDArray[np.float32]]) -> float:
    """Return the mean absolute difference of pictures along the motion, levels."""
    down, right = STEP
    found = []
    for before, after in itertools.pairwise(pictures):
        moved, kept = before[down:, right:], after[:-down, :-right]
        inner = slice(MARGIN, -MARGIN)
        found.append(np.abs(moved[inner, inner] - kept[inner, inner]).mean())
    return float(np.mean(found))


def change_afar(pictures: list[NDArray[np.float32]]) -> float:
    """Return the mean absolute difference of the upper third, which no ball comes near, levels."""
    found = [
        np.abs(after - before)[: len(before) // 3].mean()
        for before, after in itertools.pairwise(pictures)
    ]
    return float(np.mean(found))


def detail(pictures: list[NDArray[np.float32]]) -> float:
    """Return the mean absolute difference of neighbouring pixels: blur makes it small."""
    return float(np.mean([np.abs(np.diff(each, axis=1)).mean() for each in pictures]))


@app.command()
def steadiness(model: Path, photos: list[Path], count: int = 16) -> None:
    """Print the change along the motion, and the detail, of three ways to paint a video."""
    loaded = load(model, "cpu")
    for path in photos:
        photo = read(path).srgb()
        size = (
            min(360, photo.shape[0] - count * STEP[0]),
            min(640, photo.shape[1] - count * STEP[1]),
        )
        clips = {
            "moving camera": (list(clip(photo, size, count, 0.0)), change),
            "moving, noise": (list(clip(photo, size, count, NOISE)), change),
            "a ball passes": (list(visitor(photo, size, count)), change_afar),
        }
        for name, (frames, changed) in clips.items():
            shot = list(
                painted(loaded, frames, list(scenes(loaded, frames, size, Options())), Options())
            )
            alone = [stylize(loaded, frame) for frame in frames]
            ways = {"of the shot": shot, "of each frame": alone}
            for weight in AVERAGES:
                ways[f"average {weight:g}"] = list(averaged(alone, weight))
            for way, made in {"the video itself": frames, **ways}.items():
                pictures = [each.astype(np.float32) for each in made]
                result(
                    f"{path.stem:28} {name}  {way:16} change {changed(pictures):6.2f}  "
                    f"detail {detail(pictures):6.2f}"
                )


def averaged(pictures: list[Pixels], weight: float) -> Iterator[Pixels]:
    """Yield the exponential average of pictures."""
    last = pictures[0].astype(np.float32)
    for picture in pictures:
        last = weight * last + (1 - weight) * picture
        yield np.rint(last).astype(np.uint8)


@app.command()
def speed(
    model: Path,
    photo: Path,
    size: Annotated[str, typer.Option()] = "1280x720",
    frames: int = 48,
    rounds: int = 3,
) -> None:
    """Print frames per second and peak memory of `tn-run video` and of a plain loop, in turns."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.mp4"
        large = read(photo).srgb()
        times = -(-(height + frames) // large.shape[0]), -(-(width + 2 * frames) // large.shape[1])
        _write(source, clip(np.tile(large, (*times, 1)), (height, width), frames, 0.0))
        ways = {
            "tn-run video": [
                "-c",
                "from tn_runtime.cli import main; main()",
                "video",
                str(model),
                str(source),
            ],
            "a plain loop": [__file__, "plain", str(model), str(source)],
        }
        found: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
        for number in range(rounds):
            for way, words in ways.items():
                out = Path(folder) / f"{number}.mp4"
                found[way].append(_timed([*words, "-o", str(out)]))
                out.unlink()
        for way, runs in found.items():
            seconds = statistics.median(each for each, _ in runs)
            memory = statistics.median(each for _, each in runs)
            result(f"{way:14} {frames / seconds:6.2f} frames/s  peak {memory / 1024:.0f} MB")


@app.command(hidden=True)
def plain(model: Path, source: Path, output: Annotated[Path, typer.Option("-o")]) -> None:
    """Paint a video frame by frame, as one would write it down first."""
    loaded: Model = load(model, "cpu")
    with av.open(str(source)) as file:
        pictures = (stylize(loaded, _pixels(each)) for each in file.decode(video=0))
        _write(output, pictures)


def _pixels(frame: av.VideoFrame) -> Pixels:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _write(path: Path, pictures: Iterator[Pixels]) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "18", "preset": "medium"})
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        file.mux(stream.encode(None))


def _timed(words: list[str]) -> tuple[float, int]:
    """Return the seconds and the peak memory, kB, of a process."""
    script = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], "
        "check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *words], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, int(done.stdout)


if __name__ == "__main__":
    run(app)
