"""tn-run style: its options and its report.

Heavy imports stay inside the command, so that --help answers at once.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tn_runtime import console
from tn_runtime.commands.options import (
    JsonOption,
    ModelArgument,
    ProviderOption,
    RayOption,
    ThreadsOption,
)
from tn_runtime.console import STDIN, STDOUT
from tn_runtime.errors import RequestError

if TYPE_CHECKING:
    from tn_runtime.commands.style_job import Outcome, StyleJob
    from tn_runtime.session import Model

FormatChoice = Literal["png", "jpg", "webp", "tiff"]

NAMED = 3
"""How many of the failed photos are named again at the end."""


def style(
    model: ModelArgument,
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO", help="Photos, or folders to search; - reads stdin."),
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", help="File for one photo, - for PNG on stdout, or folder."),
    ],
    blend: Annotated[
        str | None,
        typer.Option(
            metavar="A=0.7,B=0.3",
            help="Styles to mix and their shares, in a model with several styles. A alone "
            "uses only that style. [default: the first style]",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A=MASK.png",
            help="Paint in style A where this grey picture is white; may be repeated.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the noise, in models that take one. [default: 0]", show_default=False
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="0 keeps the photo, 1 is the full painting.")
    ] = 1.0,
    keep_colors: Annotated[
        bool, typer.Option("--keep-colors", help="Keep the photo's colours, change its brightness.")
    ] = False,
    stroke_scale: Annotated[
        float, typer.Option(help="0.25 to 8: above 1 for broader strokes, below for finer ones.")
    ] = 1.0,
    max_size: Annotated[
        int | None, typer.Option(help="Reduce larger photos to this longest side, pixels.")
    ] = None,
    max_pixels: Annotated[
        str | None,
        typer.Option(help="Largest photo or mask that is read, as in 400MP. [default: 179MP]"),
    ] = None,
    format_: Annotated[
        FormatChoice | None,
        typer.Option(
            "--format",
            help="Format of the pictures in the output folder. "
            "[default: that of each photo, or PNG]",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(help="Quality of JPEG and WebP, 1 to 100. [default: 95]")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make again what is in the output folder.")
    ] = False,
    ray: RayOption = None,
    provider: ProviderOption = "auto",
    threads: ThreadsOption = None,
    json_: JsonOption = False,
) -> None:
    """Stylise photos of any size: one, several, or all in a folder and below it.

    A picture that already exists in an output folder is skipped, so that an interrupted run can be
    started again; a single output file is replaced.
    """
    check_streams(photos, output, json_)

    from tn_runtime.commands.photo_jobs import Worklist, plan
    from tn_runtime.commands.style_job import StyleJob, read_masks, run
    from tn_runtime.session import load
    from tn_runtime.stylization import Options

    shares = parse_blend(blend) if blend is not None else None
    largest = parse_pixels(max_pixels) if max_pixels else None
    suffix = f".{format_}" if format_ else None
    if ray is not None:
        check_ray(photos, output, mask or [], threads)
    job = StyleJob(
        Worklist([], into_folder=True)
        if ray
        else plan([Path(each) for each in photos], output, suffix),
        Options(seed or 0, strength, keep_colors, stroke_scale),
        max_size,
        largest,
        quality,
        overwrite,
        read_masks(parse_masks(mask or []), largest),
    )
    job.check()
    loaded = load(model, provider, 1 if ray else threads)  # a worker is a process with one thread
    job.check_model(loaded)
    if shares is not None:
        loaded = loaded.blended(shares)
    elif loaded.spec.takes_style:
        first, count = loaded.spec.styles[0], len(loaded.spec.styles)
        console.note(f"paints in {first!r}, the first of {count} styles; --blend takes others")
    if seed is not None and not loaded.spec.takes_seed:
        console.note(f"{loaded.spec.name} takes no noise: --seed {seed} has no effect")
    started = time.perf_counter()
    if ray is not None:
        from tn_runtime.commands import ray_style_job

        outcome = ray_style_job.run(job, loaded, photos[0], output, suffix, ray)
    else:
        outcome = run(job, loaded)
    report(loaded, job, outcome, output, time.perf_counter() - started, json_)
    console.announce(loaded, provider)
    if outcome.failed:
        raise typer.Exit(console.SOME_FAILED)


def check_streams(photos: list[str], output: str, as_json: bool) -> None:
    """Refuse to read or write a picture on a terminal, and two things on one stream.

    Raises:
        RequestError: one of these.
    """
    if str(STDIN) in photos and "stdin" in console.closed:
        raise RequestError("- reads a photo from stdin, which is closed; name a file")
    if str(STDIN) in photos and sys.stdin.isatty():
        raise RequestError(
            "- would read a photo from the terminal; send a file to it, as in < a.jpg"
        )
    console.check_stdout(output, as_json)


def check_ray(photos: list[str], output: str, masks: list[str], threads: int | None) -> None:
    """Refuse what --ray does not do.

    Raises:
        RequestError: one of these.
    """
    if len(photos) != 1 or str(STDIN) in photos or output == str(STDOUT):
        raise RequestError("--ray stylises one folder into another; give one folder, and -o FOLDER")
    if masks:
        raise RequestError("--mask is not for --ray; leave one of them out")
    if threads is not None:
        raise RequestError("--ray has a worker for each core; leave --threads out")


def parse_blend(text: str) -> dict[str, float]:
    """Return the shares of "A=0.7,B=0.3" by name; a name alone has the share 1.

    Raises:
        RequestError: another form.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        style, sign, share = (each.strip() for each in part.partition("="))
        try:
            number = float(share) if sign else 1.0
        except ValueError as error:
            raise RequestError(
                f"--blend {text!r} has no number after {style}=; give A=0.7,B=0.3"
            ) from error
        if style in shares:
            raise RequestError(f"--blend {text!r} names {style!r} twice; give each style once")
        shares[style] = number
    return shares


def parse_masks(texts: list[str]) -> dict[str, Path]:
    """Return the file of each "A=MASK.png" by the name of the style.

    Raises:
        RequestError: another form, or two masks for a style.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        style, _, path = text.partition("=")
        if not style or not path:
            raise RequestError(f"--mask {text!r} is no style with its mask; give A=MASK.png")
        if style in paths:
            raise RequestError(f"there are two masks for {style!r}; give one for each style")
        paths[style] = Path(path)
    return paths


def parse_pixels(text: str) -> int:
    """Return the number of "N" or of "NMP", millions.

    Raises:
        RequestError: neither.
    """
    match = re.fullmatch(r"0*([1-9]\d{0,11})(MP)?", text, re.IGNORECASE)
    if match is None:
        raise RequestError(f"--max-pixels {text!r} is not a number of pixels; write 400MP")
    return int(match[1]) * (10**6 if match[2] else 1)


def report(
    model: "Model", job: "StyleJob", outcome: "Outcome", output: str, seconds: float, as_json: bool
) -> None:
    """Print the one line of output."""
    if as_json:
        facts = {
            "outputs": [str(path) for path in outcome.made],
            "skipped": [str(path) for path in outcome.skipped],
            "failed": outcome.failed,
            "model": model.spec.name,
            "sha256": model.sha256,
            "provider": model.provider,
            "seconds": round(seconds, 3),
            **job.settings(model),
        }
        console.result(json.dumps(facts))
    elif output != str(STDOUT):
        parts = summary(outcome) if job.worklist.into_folder else ""
        console.result(f"{output}{parts}: {seconds:.2f} s on {model.provider.upper()}")


def summary(outcome: "Outcome") -> str:
    """Return the outcome in a few words."""
    count = len(outcome.made)
    parts = [f"{count} photo" if count == 1 else f"{count} photos"]
    if outcome.skipped:
        parts.append(
            f"{len(outcome.skipped)} skipped as done before (--overwrite makes them again)"
        )
    if outcome.failed:
        names = [each["photo"] for each in outcome.failed]
        more = ", ..." if len(names) > NAMED else ""
        parts.append(f"{len(names)} failed ({', '.join(names[:NAMED])}{more})")
    return ": " + ", ".join(parts)
