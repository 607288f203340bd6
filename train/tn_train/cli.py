"""`tn-train`: options in, a checkpoint and pictures about it out."""

import math
import shlex
import subprocess
import sys
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tn_runtime.console import busy, note, result, run
from tn_runtime.errors import RequestError
from tn_runtime.version import __version__
from tn_train.config import PRESETS, Budget, Crop, Kind
from tn_train.options import PictureOptions, RunOptions, default, first, with_run_options

if TYPE_CHECKING:  # torch takes seconds to import, and --help must not
    import torch
    from torch import Tensor

    from tn_runtime.spec import Exemplar
    from tn_train.config import Stage
    from tn_train.loop import Event, Run, Task
    from tn_train.outputs import Outputs
    from tn_train.photos import Photos
    from tn_train.plan import Options, Plan

MOST_NOTED = 10
"""Lines about photos that are left out; a folder of other things may have thousands."""


def _presets(kind: Kind) -> str:
    names = list(PRESETS[kind])
    return f"Recipe, one of: {', '.join(names)}. {default(names[0])}"


def _layers_help(kind: Kind) -> str:
    training = first(kind)
    weights = training.weights
    shown = [f"{name}={weights[name]:g}" if name in weights else name for name in training.layers]
    return (
        "Layers of the descriptor that are compared, with weights other than 1. "
        f"{default(','.join(shown))}"
    )


app = typer.Typer(
    name="tn-train", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Train generators with PyTorch; tn-export turns what comes out into an ONNX file."""
    if version:
        result(f"tn-train {__version__}")
    elif context.invoked_subcommand is None:
        result(context.get_help())


@app.command()
@with_run_options
def texture(
    *,
    exemplar: Annotated[
        Path, typer.Argument(metavar="EXEMPLAR", help="The picture to learn from.")
    ],
    preset: Annotated[str | None, typer.Option(help=_presets("texture"))] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest side of the exemplar in training, pixels. "
            f"{default(first('texture').size)}",
        ),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(metavar="NAME[=WEIGHT],...", help=_layers_help("texture"))
    ] = None,
    run: PictureOptions,
) -> None:
    """Train a texture generator from one picture."""
    _train(run, layers, exemplars=(exemplar,), preset=preset, size=size)


@app.command()
@with_run_options
def style(
    *,
    paintings: Annotated[
        list[Path],
        typer.Argument(
            metavar="PAINTING...", help="The picture whose style to learn; of several, each style."
        ),
    ],
    content: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Photos to practise on, in this folder and below. [default: ten]"
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE|none",
            help="Checkpoint of a style to start from, or none to start from nothing. "
            "[default: the packaged base]",
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(help=_presets("style"))] = None,
    style_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest side of the painting in training, pixels: larger, larger strokes. "
            f"{default(first('style').size)}",
        ),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(metavar="NAME[=WEIGHT],...", help=_layers_help("style"))
    ] = None,
    content_weight: Annotated[
        float | None,
        typer.Option(
            help=f"How much of the photo must be left. {default(first('style').content_weight)}"
        ),
    ] = None,
    variation_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of the total variation; a larger one gives smoother pictures. "
            f"{default(first('style').variation_weight)}"
        ),
    ] = None,
    run: PictureOptions,
) -> None:
    """Train a generator that paints photos in the style of one picture, or of several."""
    _train(
        run,
        layers,
        kind="style",
        exemplars=tuple(paintings),
        content=content,
        start=start,
        preset=preset,
        size=style_size,
        content_weight=content_weight,
        variation_weight=variation_weight,
    )


@app.command()
@with_run_options
def base(
    *,
    pictures_list: Annotated[
        Path,
        typer.Argument(metavar="LIST", help="The paintings and photos to learn from, NAME.toml."),
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the pictures in LIST that are not in the package."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="Checkpoint of a style to start from. [default: none]"
        ),
    ] = None,
    run: RunOptions,
) -> None:
    """Train a base on many paintings, for hours; new styles start from it."""
    with busy("loading PyTorch ..."):
        from tn_train.collection import read_collection
        from tn_train.plan import Options

    collection = read_collection(pictures_list, pictures)
    options = Options(
        kind="style",
        exemplars=tuple(collection.paintings),
        collection=collection,
        start=start,
        **_common(run),
    )
    again = ["tn-train", "base", str(pictures_list)]
    _run(options, run, [*again, "--pictures", str(pictures)] if pictures else again)


def _train(asked: PictureOptions, layers: str | None, **more: Any) -> None:  # noqa: ANN401 - of Options
    with busy("loading PyTorch ..."):
        from tn_train.plan import Options

    names, weights = _layers(layers)
    options = Options(
        crop=Crop.parse(asked.crop) if asked.crop is not None else None,
        layers=names,
        weights=weights,
        vgg19=asked.vgg19,
        credit=asked.credit,
        license=asked.license_,
        **_common(asked),
        **more,
    )
    _run(options, asked, _again(options))


def _common(asked: RunOptions) -> dict[str, Any]:
    """Return the fields of an Options that all commands have."""
    return {
        "output": asked.output,
        "resume": asked.resume,
        "budget": _budget(asked.steps, asked.minutes),
        "seed": asked.seed,
    }


def _run(options: "Options", asked: RunOptions, again: list[str]) -> None:
    """Run what was asked for; `again` are the words of a command that goes on with it."""
    from tn_runtime.errors import WorkerError
    from tn_train.base import finished
    from tn_train.checkpoint import save
    from tn_train.data import has_transparency
    from tn_train.interrupt import Interrupted
    from tn_train.loop import Run, choose_device
    from tn_train.outputs import Outputs
    from tn_train.plan import plan
    from tn_train.progress import duration
    from tn_train.style import shown

    planned = plan(options)
    checkpoint, pixels = planned.checkpoint, planned.pixels
    for exemplar in options.exemplars:
        if has_transparency(exemplar, checkpoint.crop):
            note(
                f"{exemplar} has transparent pixels: alpha is ignored, "
                "and the colours under it are learned like all others"
            )
    if planned.photos:
        _note_skipped(planned.photos)
    device = choose_device(asked.device)
    training = Run(checkpoint, device)
    outputs = Outputs(training, [pixels[k] for k in shown(len(pixels))], options.output)
    outputs.check(options.exemplars)
    try:
        with _enough_memory(checkpoint.exemplars[0]), ExitStack() as workers:
            task = _task(planned, options, device, workers)
            if asked.compile_:
                task.compile(training.generator)
            _watch(training, task, outputs)
    except (Interrupted, WorkerError) as stop:
        words = _quoted([*again, *_to_go_on(asked)])
        saved = f"saved {options.output} at step {training.step}; go on with: {words}"
        if isinstance(stop, WorkerError):
            raise WorkerError(f"{stop}; {saved}") from stop
        note(saved)
        stop.pass_on()
        raise
    files = [str(path) for path in outputs.finish()]
    if options.collection:
        save(finished(training.checkpoint()), options.output)
    result(
        f"{files[0]}: loss {training.kept_loss:.4f} after {training.step} steps in "
        f"{duration(training.seconds)} ({', '.join(files[1:])})"
    )


def _task(
    planned: "Plan", options: "Options", device: "torch.device", workers: ExitStack
) -> "Task":
    """Return what is trained, on its device; processes that it starts end with the stack."""
    import functools

    from tn_train.crops import batches
    from tn_train.photos import held_out
    from tn_train.plan import load_descriptor
    from tn_train.style import StyleTask
    from tn_train.texture import TextureTask

    training = planned.checkpoint.training
    descriptor = load_descriptor(planned.checkpoint, options.vgg19).to(device)
    pixels, photos = [each.to(device) for each in planned.pixels], planned.photos
    if photos is None:
        return TextureTask(descriptor, pixels[0], training)
    report = functools.cache(note)  # a damaged photo is met by several processes

    def crops(stage: "Stage", numbers: "Iterable[int]") -> "Iterator[Tensor]":
        stream = batches(
            photos,
            seed=training.seed,
            numbers=numbers,
            sample=stage.sample,
            batch=stage.batch,
            report=report,
        )
        # Its processes end when the task takes another stream and drops this one, or at the end.
        workers.callback(_close, weakref.ref(stream))
        return stream

    held = held_out(photos, max(stage.sample for stage in training.stages), report)
    return StyleTask(descriptor, pixels, crops, held, training)


def _close(stream: "weakref.ref[Generator[Tensor, None, None]]") -> None:
    if (generator := stream()) is not None:
        generator.close()


def _note_skipped(photos: "Photos") -> None:
    for reason in photos.skipped[:MOST_NOTED]:
        note(f"left out: {reason}")
    if len(photos.skipped) > MOST_NOTED:
        note(f"left out: {len(photos.skipped) - MOST_NOTED} more")


def _watch(training: "Run", task: "Task", outputs: "Outputs") -> None:
    """Train, show it and keep the files up to date."""
    from tn_runtime.errors import WorkerError
    from tn_train.interrupt import Interrupted
    from tn_train.loop import train
    from tn_train.progress import shown

    with shown() as show:

        def report(event: "Event") -> None:
            show(event)
            outputs.update(event)

        try:
            train(training, task, report)
        except (Interrupted, WorkerError):
            outputs.save()  # before the bar ends: of a closed terminal, that is an error
            raise


@contextmanager
def _enough_memory(exemplar: "Exemplar") -> Iterator[None]:
    """Turn torch's ways to say that memory is out into one line."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        # The first are torch's words on the CPU, the second MPS's.
        if not known and not any(x in str(error) for x in ("can't allocate", "out of memory")):
            raise
        raise RequestError(
            f"{exemplar.name} is {exemplar.width}x{exemplar.height} in training, "
            "which needs more memory than there is: let it be smaller, or --crop"
        ) from error


def _budget(steps: int | None, minutes: float | None) -> Budget | None:
    if steps is not None and minutes is not None:
        raise RequestError("--steps and --minutes are two ways to say how long: give one")
    if steps is None and minutes is None:
        return None
    if minutes is not None and not 0 < minutes < math.inf:
        raise RequestError(f"--minutes {minutes} is not a length of time: give a positive number")
    return Budget(steps, minutes)


def _layers(text: str | None) -> tuple[tuple[str, ...] | None, dict[str, float] | None]:
    """Read `NAME[=WEIGHT],...`; both are None where nothing was asked for."""
    if text is None:
        return None, None
    pairs = [each.partition("=") for each in text.split(",") if each.strip()]
    weights = {name.strip(): _weight(value) for name, equals, value in pairs if equals}
    return tuple(name.strip() for name, _, _ in pairs), weights


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RequestError(
            f"--layers: {text!r} is not a weight; write NAME=WEIGHT as in relu4_1=2"
        ) from error


def _again(options: "Options") -> list[str]:
    """Return the words of a command with what a checkpoint does not hold."""
    words = ["tn-train", options.kind, *map(str, options.exemplars)]
    if options.content:
        words += ["--content", str(options.content)]
    return [*words, "--vgg19", str(options.vgg19)] if options.vgg19 else words


def _to_go_on(asked: RunOptions) -> list[str]:
    """Return the options of a command that goes on with a run."""
    words = ["-o", str(asked.output), "--resume"]
    if asked.device != "auto":
        words += ["--device", asked.device]
    return [*words, "--compile"] if asked.compile_ else words


def _quoted(words: Sequence[str]) -> str:
    """Return a command as the system's own shell reads it."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def main() -> None:
    """Run `tn-train`."""
    run(app)
