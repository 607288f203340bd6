"""tn-run texture: its options and its report.

Heavy imports stay inside the command, so that --help answers at once.
"""

import json
import re
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tn_runtime import console
from tn_runtime.commands.options import JsonOption, ProviderOption, RayOption, ThreadsOption
from tn_runtime.console import STDOUT
from tn_runtime.errors import RequestError
from tn_runtime.providers import ProviderChoice

if TYPE_CHECKING:
    from tn_runtime.commands.texture_job import Outcome, TextureJob
    from tn_runtime.session import Model

DEFAULT_MODEL = "stone_wall"
"""The model that makes a picture where none is named."""

MAX_SEEDS = 100_000
"""The most pictures of one command; guards against a mistyped range."""


def texture(
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="File to write: .png, .tiff, .jpg or .webp; - writes PNG to stdout. With --drift "
            "a video, with --ray a store NAME.zarr.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Argument(
            help="Model file (.onnx), or a name that `tn-run models` lists. "
            f"[default: {DEFAULT_MODEL}]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Size in pixels: WxH, or N for NxN.")] = "512x512",
    seed: Annotated[
        str, typer.Option(help="Seed, or A..B to write numbered files NAME_A to NAME_B.")
    ] = "0",
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Put the pictures of all seeds on one contact sheet.")
    ] = False,
    tileable: Annotated[
        bool,
        typer.Option(
            "--tileable",
            help="Make opposite edges match in both directions. Both sides must be multiples of "
            "the model's stride (`tn-run info` shows it).",
        ),
    ] = False,
    tileable_x: Annotated[
        bool, typer.Option("--tileable-x", help="The same, for the left and right edges only.")
    ] = False,
    tileable_y: Annotated[
        bool, typer.Option("--tileable-y", help="The same, for the top and bottom edges only.")
    ] = False,
    origin: Annotated[
        str, typer.Option(metavar="X,Y", help="Position of the picture on the endless plane.")
    ] = "0,0",
    drift: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y",
            help="Make a seamless loop, a video or numbered pictures: the window moves by so many "
            "pixels from frame to frame. Needs --frames, and the extra video.",
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of the loop.")] = None,
    frame_rate: Annotated[
        str | None, typer.Option(help="Frames per second of the loop. [default: 25]")
    ] = None,
    ray: RayOption = None,
    provider: ProviderOption = "auto",
    threads: ThreadsOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a picture of any size: a window of an endless texture, or one that tiles."""
    height, width = parse_size(size)
    seeds, place = parse_seeds(seed), parse_origin(origin)
    console.check_stdout(str(output), json_)
    if drift is not None:
        alone = (sheet, tileable, tileable_x, tileable_y, json_, len(seeds) > 1)
        if any(alone):
            raise RequestError(
                "--drift makes one loop, which repeats by itself; "
                "leave out --sheet, --tileable, --json and ranges of seeds"
            )
        if frames is None:
            raise RequestError("--drift needs --frames, the number of frames of the loop")
        rate = parse_rate(frame_rate or "25")
        step = parse_origin(drift, "--drift", "as in 4,0")
        loop(output, model, (height, width), seeds[0], place, step, frames, rate, provider, threads)
        return
    if frames is not None or frame_rate is not None:
        raise RequestError("--frames and --frame-rate are of a loop; add --drift X,Y")

    from tn_runtime.commands.texture_job import TextureJob, run
    from tn_runtime.pattern import advice
    from tn_runtime.session import load

    job = TextureJob(
        output,
        (height, width),
        seeds,
        sheet,
        (height if tileable or tileable_y else 0, width if tileable or tileable_x else 0),
        place,
    )
    if ray is not None:
        huge(job, str(output), model or DEFAULT_MODEL, ray, provider)
        return
    job.check()
    if model is None:
        console.note(f"no model is named: using {DEFAULT_MODEL}; tn-run models lists all")
    loaded = load(model or DEFAULT_MODEL, provider, threads)
    job.check_model(loaded)
    if words := advice(loaded.spec, job.period):
        console.note(words)
    started = time.perf_counter()
    outcome = run(job, loaded)
    report(loaded, job, outcome, time.perf_counter() - started, json_)
    console.announce(loaded, provider)
    if outcome.failed:
        raise typer.Exit(console.SOME_FAILED)


def huge(
    job: "TextureJob", output: str, model: str, address: str, provider: ProviderChoice
) -> None:
    """Make the picture of --ray, and print its line."""
    from tn_runtime.commands.ray_texture_job import mosaic, run
    from tn_runtime.session import load

    picture = mosaic(job, output)
    started = time.perf_counter()
    run(picture, load(model, provider, 1), address)
    height, width = picture.size
    seconds = time.perf_counter() - started
    console.result(f"{output}: {width}x{height}, {len(picture.levels)} levels: {seconds:.2f} s")


def loop(
    output: Path,
    model: str | None,
    size: tuple[int, int],
    seed: int,
    origin: tuple[int, int],
    drift: tuple[int, int],
    frames: int,
    rate: Fraction,
    provider: ProviderChoice,
    threads: int | None,
) -> None:
    """Make the loop of --drift, and print its line."""
    from tn_runtime.commands.drift_job import DriftJob, run
    from tn_runtime.pattern import advice
    from tn_runtime.session import load

    job = DriftJob(output, size, seed, origin, drift, frames, rate)
    job.check()
    loaded = load(model or DEFAULT_MODEL, provider, threads)
    job.check_model(loaded)
    if words := advice(loaded.spec, job.period):
        console.note(words)
    started = time.perf_counter()
    run(job, loaded)
    seconds = time.perf_counter() - started
    if output != STDOUT:
        console.result(
            f"{output}: a loop of {frames} frames: {seconds:.2f} s on {loaded.provider.upper()}"
        )
    console.announce(loaded, provider)


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """Return (height, width) of "WxH" or "N", given by an option.

    Raises:
        RequestError: neither.
    """
    match = re.fullmatch(r"(\d{1,18})(?:[xX×](\d{1,18}))?", text)
    if match is None:
        raise RequestError(
            f"{option} {text!r} is not a size; give WxH as in 1024x512, or N for NxN"
        )
    width = int(match[1])
    return (int(match[2]) if match[2] else width), width


def parse_seeds(text: str) -> range:
    """Return the seeds of "N" or "A..B", both included.

    Raises:
        RequestError: neither, B before A, or too many.
    """
    match = re.fullmatch(r"(-?\d{1,20})(?:\.\.(-?\d{1,20}))?", text)
    if match is None:
        raise RequestError(f"--seed {text!r} is not a seed; give a number, or a range as in 1..9")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if last < first:
        raise RequestError(f"--seed {text!r} is empty; write it {last}..{first}")
    if last - first >= MAX_SEEDS:
        raise RequestError(
            f"--seed {text!r} are {last - first + 1} pictures; at most {MAX_SEEDS} at once"
        )
    return range(first, last + 1)


def parse_rate(text: str) -> Fraction:
    """Return the frame rate of "N" or "N/M".

    Raises:
        RequestError: another form, or no positive number.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise RequestError(f"--frame-rate {text!r} is not a rate; give 25 or 30000/1001") from error
    if not 0 < rate <= 1000:
        raise RequestError(f"--frame-rate {text} is out of range; it is above 0, up to 1000")
    return rate


def parse_origin(
    text: str, option: str = "--origin", example: str = "as in -300,1000000000"
) -> tuple[int, int]:
    """Return (y, x) of "X,Y", given by an option.

    Raises:
        RequestError: something else.
    """
    match = re.fullmatch(r"(-?\d{1,20}),(-?\d{1,20})", text)
    if match is None:
        raise RequestError(f"{option} {text!r} is not a place in whole pixels; give X,Y {example}")
    return int(match[2]), int(match[1])


def report(
    model: "Model", job: "TextureJob", outcome: "Outcome", seconds: float, as_json: bool
) -> None:
    """Print the one line of output."""
    names = [str(path) for path, _ in outcome.made]
    if as_json:
        height, width = job.size
        facts = {
            "outputs": names,
            "failed": outcome.failed,
            "model": model.spec.name,
            "sha256": model.sha256,
            "provider": model.provider,
            "seconds": round(seconds, 3),
            "width": width,
            "height": height,
            "seeds": [seed for _, seeds in outcome.made for seed in seeds],
            "origin": [job.origin[1], job.origin[0]],
            "period": [job.period[1], job.period[0]],
        }
        console.result(json.dumps(facts))
    elif job.output != STDOUT:
        console.result(
            f"{summary(names, len(outcome.failed))}: {seconds:.2f} s on {model.provider.upper()}"
        )


def summary(names: list[str], failed: int) -> str:
    """Return which files were written, in a few words."""
    if failed:
        return f"{len(names)} of {len(names) + failed} pictures"
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
