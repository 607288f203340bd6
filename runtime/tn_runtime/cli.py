"""tn-run: make pictures with a model file.

Heavy imports stay inside the commands, so that --help answers at once.
"""

import contextlib
import dataclasses
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tn_runtime import console
from tn_runtime.console import STDOUT
from tn_runtime.errors import RequestError, TextureNetworksError
from tn_runtime.options import JsonOption, ModelArgument, ProviderOption, ThreadsOption
from tn_runtime.style_cli import style
from tn_runtime.version import __version__

if TYPE_CHECKING:
    from tn_runtime.generate import Progress
    from tn_runtime.session import Model

app = typer.Typer(
    name="tn-run",
    help="Make pictures with a texture-network model: one ONNX file, any size, no torch.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

MAX_SEEDS = 100_000
"""Of one command; a range with a digit too many is a slip, not a wish."""

VERDICTS = {True: "runs", False: "does not run", None: "not tried"}


@dataclasses.dataclass(frozen=True)
class Job:
    """What a `texture` command asks for."""

    output: Path
    size: tuple[int, int]
    """(height, width), pixels."""
    seeds: range
    sheet: bool
    period: tuple[int, int]
    origin: tuple[int, int]
    """(y, x)."""

    def outputs(self) -> list[tuple[Path, range]]:
        """Return each file to write, with its seeds."""
        if self.sheet or len(self.seeds) == 1:
            return [(self.output, self.seeds)]
        digits = max(len(str(seed)) for seed in (self.seeds[0], self.seeds[-1]))
        stem, suffix = self.output.stem, self.output.suffix
        return [
            (self.output.with_name(f"{stem}_{seed:0{digits}d}{suffix}"), range(seed, seed + 1))
            for seed in self.seeds
        ]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job's files."""

    made: list[tuple[Path, range]]
    failed: list[dict[str, str]]
    """Of each: `output`, its name, and `error`, why."""


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Make pictures with a texture-network model: one ONNX file, any size, no torch."""
    if version:
        console.result(f"tn-run {__version__}")
    elif context.invoked_subcommand is None:
        console.result(context.get_help())


@app.command()
def texture(
    model: ModelArgument,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help=".png, .tiff, .jpg or .webp; - is PNG on stdout."),
    ],
    size: Annotated[str, typer.Option(help="WxH or N for NxN, pixels.")] = "512x512",
    seed: Annotated[
        str, typer.Option(help="A number, or A..B for numbered files NAME_A to NAME_B.")
    ] = "0",
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Put the pictures of all seeds on one contact sheet.")
    ] = False,
    tileable: Annotated[
        bool, typer.Option("--tileable", help="Make the edges meet, in both directions.")
    ] = False,
    tileable_x: Annotated[
        bool, typer.Option("--tileable-x", help="Make the left and right edge meet.")
    ] = False,
    tileable_y: Annotated[
        bool, typer.Option("--tileable-y", help="Make the top and bottom edge meet.")
    ] = False,
    origin: Annotated[
        str, typer.Option(metavar="X,Y", help="Where the picture lies on the endless plane.")
    ] = "0,0",
    provider: ProviderOption = "auto",
    threads: ThreadsOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a picture of any size: a window of an endless texture, or one that tiles."""
    height, width = parse_size(size)
    job = Job(
        output,
        (height, width),
        parse_seeds(seed),
        sheet,
        (height if tileable or tileable_y else 0, width if tileable or tileable_x else 0),
        parse_origin(origin),
    )
    check_outputs(job, json_)

    from tn_runtime.generate import check_request
    from tn_runtime.session import load

    loaded = load(model, provider, threads)
    check_request(loaded, job.size, job.seeds, job.origin, job.period)  # of all files at once
    console.announce(loaded, provider)
    started = time.perf_counter()
    outcome = make_all(loaded, job)
    report(loaded, job, outcome, time.perf_counter() - started, json_)
    if outcome.failed:
        raise typer.Exit(console.SOME_FAILED)


app.command()(style)


@app.command()
def info(model: ModelArgument, json_: JsonOption = False) -> None:
    """Show what a model file says about itself."""
    facts = describe(model)
    if json_:
        console.result(json.dumps(facts))
        return
    for key, value in flatten(facts):
        console.result(f"{key:32} {value}".rstrip())


@app.command()
def models(json_: JsonOption = False) -> None:
    """List the models that can be named without a path."""
    from tn_runtime.session import shipped

    facts = [{**describe(path), "name": name} for name, path in shipped().items()]
    if json_:
        console.result(json.dumps(facts))
        return
    for each in facts:
        console.result(f"{each['name']:24} {each['kind']:10} {each['path']}")
    if not facts:
        console.note("no models are shipped with this installation; name a .onnx file")


@app.command()
def doctor(json_: JsonOption = False) -> None:
    """Say which execution providers really run here, and why not the others."""
    from tn_runtime.doctor import examine

    facts = examine()
    if json_:
        console.result(json.dumps(dataclasses.asdict(facts)))
        return
    console.result(f"texture-networks {facts.version}, Python {facts.python}, {facts.system}")
    if facts.onnxruntime is None:
        console.result("ONNX Runtime does not work")
    else:
        console.result(f"ONNX Runtime {facts.onnxruntime}, built with {', '.join(facts.compiled)}")
    for each in facts.providers:
        console.result(f"{each.name}: {VERDICTS[each.works]}: {each.reason}")
    for warning in facts.warnings:
        console.result(f"warning: {warning}")


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "WxH" or "N".

    Raises:
        RequestError: neither.
    """
    match = re.fullmatch(r"(\d{1,18})(?:[xX×](\d{1,18}))?", text)
    if match is None:
        raise RequestError(f"--size {text!r} is no size; give WxH as in 1024x512, or N for NxN")
    width = int(match[1])
    return (int(match[2]) if match[2] else width), width


def parse_seeds(text: str) -> range:
    """Return the seeds of "N" or "A..B", both included.

    Raises:
        RequestError: neither, B before A, or too many.
    """
    match = re.fullmatch(r"(-?\d{1,20})(?:\.\.(-?\d{1,20}))?", text)
    if match is None:
        raise RequestError(f"--seed {text!r} is no seed; give a number, or a range as in 1..9")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if last < first:
        raise RequestError(f"--seed {text!r} is empty; write it {last}..{first}")
    if last - first >= MAX_SEEDS:
        raise RequestError(
            f"--seed {text!r} are {last - first + 1} pictures; at most {MAX_SEEDS} at once"
        )
    return range(first, last + 1)


def parse_origin(text: str) -> tuple[int, int]:
    """Return (y, x) of "X,Y".

    Raises:
        RequestError: something else.
    """
    match = re.fullmatch(r"(-?\d{1,20}),(-?\d{1,20})", text)
    if match is None:
        raise RequestError(f"--origin {text!r} is no place; give X,Y as in -300,1000000000")
    return int(match[2]), int(match[1])


def check_outputs(job: Job, as_json: bool) -> None:
    """Refuse what cannot be written, before anything is loaded.

    Raises:
        RequestError: options that contradict each other.
        PictureError: an unknown suffix, or a size beyond the format.
    """
    if job.sheet and len(job.seeds) == 1:
        raise RequestError("--sheet needs several seeds; give a range as in --seed 1..9")
    if job.output == STDOUT:
        _check_stdout(job, as_json)

    from tn_runtime.image import check_output

    path = Path("stdout.png") if job.output == STDOUT else job.output
    check_output(path, *picture_size(job))


def _check_stdout(job: Job, as_json: bool) -> None:
    if as_json:
        raise RequestError("-o - and --json both want stdout; name a file, or leave --json out")
    if len(job.seeds) > 1 and not job.sheet:
        raise RequestError("-o - takes one picture; give one seed, or --sheet")
    if sys.stdout.isatty():
        raise RequestError("-o - would write a PNG to the terminal; send it to a file or a pipe")


def picture_size(job: Job) -> tuple[int, int]:
    """Return (height, width) of each file."""
    if not job.sheet:
        return job.size
    from tn_runtime.sheet import sheet_size

    return sheet_size(len(job.seeds), *job.size)


def make_all(model: "Model", job: Job) -> Outcome:
    """Make each file; one of several that fails does not stop the rest.

    Raises:
        TextureNetworksError: the only file failed.
    """
    made: list[tuple[Path, range]] = []
    failed: list[dict[str, str]] = []
    outputs = job.outputs()
    for path, seeds in outputs:
        try:
            make(model, job, path, seeds)
        except TextureNetworksError as error:
            if len(outputs) == 1:
                raise
            console.note_error(str(error))
            failed.append({"output": str(path), "error": str(error)})
        else:
            made.append((path, seeds))
    return Outcome(made, failed)


def make(model: "Model", job: Job, path: Path, seeds: range) -> None:
    """Make one file, or the picture on stdout."""
    from tn_runtime.generate import bands
    from tn_runtime.image import Picture, write_picture, write_stdout
    from tn_runtime.sheet import sheet_bands

    with progress_bar(path) as progress:
        if job.sheet:
            rows = sheet_bands(model, seeds, job.size, job.origin, job.period, progress)
        else:
            rows = bands(model, job.size, seeds[0], job.origin, job.period, progress)
        picture = Picture(rows, *picture_size(job), provenance(model, job, seeds))
        if path == STDOUT:
            write_stdout(picture)
        else:
            write_picture(path, picture)


def provenance(model: "Model", job: Job, seeds: range) -> dict[str, str]:
    """Return what the picture keeps, enough to make it again."""
    (height, width), (y, x), (down, across) = job.size, job.origin, job.period
    return {
        "Software": f"texture-networks {__version__}",
        "Model": model.spec.name,
        "Model-SHA256": model.sha256,
        "Seed": str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}..{seeds[-1]}",
        "Size": f"{width}x{height}",
        "Origin": f"{x},{y}",
        "Period": f"{across},{down}",
    }


def report(model: "Model", job: Job, outcome: Outcome, seconds: float, as_json: bool) -> None:
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
    """Say in a few words what was written."""
    if failed:
        return f"{len(names)} of {len(names) + failed} pictures"
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def describe(model: str | Path) -> dict[str, Any]:
    """Return a model's facts: its path, its hash and its spec."""
    from tn_runtime.session import load

    loaded = load(model, "cpu")
    spec = dataclasses.asdict(loaded.spec)
    return {
        "name": spec.pop("name"),
        "kind": spec.pop("kind"),
        "path": str(loaded.path),
        "sha256": loaded.sha256,
        **spec,
    }


def flatten(facts: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested objects."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield prefix + key, ", ".join(map(str, value))
        else:
            yield prefix + key, value


@contextlib.contextmanager
def progress_bar(path: Path) -> "Iterator[Progress]":
    """Show a bar on stderr if that is a terminal."""
    with console.bars() as bars:
        task = bars.add_task(path.name)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def main() -> NoReturn:
    """Entry point of `tn-run`."""
    console.run(app)
