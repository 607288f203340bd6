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

from tn_runtime.console import note, result, run
from tn_runtime.errors import RequestError
from tn_runtime.version import __version__
from tn_train.config import PRESETS, Budget, Crop, Kind
from tn_train.options import RunOptions, default, first, with_run_options

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
    run: RunOptions,
) -> None:
    """Train a texture generator from one picture."""
    _train(run, layers, exemplar=exemplar, preset=preset, size=size)


@app.command()
@with_run_options
def style(
    *,
    painting: Annotated[
        Path, typer.Argument(metavar="PAINTING", help="The picture whose style to learn.")
    ],
    content: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Photos to practise on, in this folder and below. [default: ten]"
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
    run: RunOptions,
) -> None:
    """Train a generator that paints photos in the style of one picture."""
    _train(
        run,
        layers,
        kind="style",
        exemplar=painting,
        content=content,
        preset=preset,
        size=style_size,
        content_weight=content_weight,
        variation_weight=variation_weight,
    )


def _train(asked: RunOptions, layers: str | None, **more: Any) -> None:  # noqa: ANN401 - of Options
    from tn_train.plan import Options

    names, weights = _layers(layers)
    options = Options(
        output=asked.output,
        resume=asked.resume,
        budget=_budget(asked.steps, asked.minutes),
        crop=Crop.parse(asked.crop) if asked.crop is not None else None,
        layers=names,
        weights=weights,
        vgg19=asked.vgg19,
        seed=asked.seed,
        credit=asked.credit,
        license=asked.license_,
        **more,
    )
    _run(options, device_name=asked.device, compiled=asked.compile_)


def _run(options: "Options", *, device_name: str, compiled: bool) -> None:
    from tn_runtime.errors import WorkerError
    from tn_train.data import has_transparency
    from tn_train.interrupt import Interrupted
    from tn_train.loop import Run, choose_device
    from tn_train.outputs import Outputs
    from tn_train.plan import plan
    from tn_train.progress import duration

    planned = plan(options)
    checkpoint, pixels = planned.checkpoint, planned.pixels
    if has_transparency(options.exemplar, checkpoint.crop):
        note(
            f"{options.exemplar} has transparent pixels: alpha is ignored, "
            "and the colours under it are learned like all others"
        )
    if planned.photos:
        _note_skipped(planned.photos)
    device = choose_device(device_name)
    training = Run(checkpoint, device)
    outputs = Outputs(training, pixels, options.output)
    outputs.check(options.exemplar)
    try:
        with _enough_memory(checkpoint.exemplar), ExitStack() as workers:
            task = _task(planned, options, device, workers)
            if compiled:
                task.compile(training.generator)
            _watch(training, task, outputs)
    except (Interrupted, WorkerError) as stop:
        words = _to_go_on(options, device_name, compiled=compiled)
        saved = f"saved {options.output} at step {training.step}; go on with: {_quoted(words)}"
        if isinstance(stop, WorkerError):
            raise WorkerError(f"{stop}; {saved}") from stop
        note(saved)
        stop.pass_on()
        raise
    files = [str(path) for path in outputs.finish()]
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
    pixels, photos = planned.pixels.to(device), planned.photos
    if photos is None:
        return TextureTask(descriptor, pixels, training)
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
        raise RequestError(f"--minutes {minutes} is no time to train: give a positive number")
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
            f"--layers: {text!r} is no weight; write NAME=WEIGHT as in relu4_1=2"
        ) from error


def _to_go_on(options: "Options", device: str, *, compiled: bool) -> list[str]:
    words = ["tn-train", options.kind, str(options.exemplar), "-o", str(options.output), "--resume"]
    if options.content:
        words += ["--content", str(options.content)]
    if options.vgg19:
        words += ["--vgg19", str(options.vgg19)]
    if device != "auto":
        words += ["--device", device]
    return [*words, "--compile"] if compiled else words


def _quoted(words: Sequence[str]) -> str:
    """Return a command as the system's own shell reads it."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def main() -> None:
    """Run `tn-train`."""
    run(app)
