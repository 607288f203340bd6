"""`tn-train`: options in, a checkpoint and pictures about it out."""

import math
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tn_runtime.console import note, result, run
from tn_runtime.errors import RequestError
from tn_runtime.version import __version__
from tn_train.config import PRESETS, Budget, Crop, TrainingConfig

if TYPE_CHECKING:  # torch takes seconds to import, and --help must not
    from torch import Tensor

    from tn_runtime.spec import Exemplar
    from tn_train.checkpoint import Checkpoint
    from tn_train.loop import Event, Run, Task
    from tn_train.outputs import Outputs
    from tn_train.plan import Options

DEFAULT = TrainingConfig()


def _default(value: object) -> str:
    """Return typer's words about a default. The options' own is None: nothing was asked for."""
    return f"[default: {value:g}]" if isinstance(value, float) else f"[default: {value}]"


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
def texture(
    exemplar: Annotated[
        Path, typer.Argument(metavar="EXEMPLAR", help="The picture to learn from.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint, NAME.pt.")],
    minutes: Annotated[
        float | None,
        typer.Option(help=f"Train so long in all. {_default(Budget().minutes)}"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train so many steps in all instead.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help=f"Of {', '.join(PRESETS)}. {_default(next(iter(PRESETS)))}"),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Longest side of the exemplar in training, pixels. {_default(DEFAULT.size)}",
        ),
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="X,Y,WxH", help="Learn from this region only.")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help=f"Of the descriptor. {_default(','.join(DEFAULT.layers))}"),
    ] = None,
    vgg19: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Describe by this VGG-19 of torchvision's, not VGG-16."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**63 - 1,
            help="Of weights and noise. A run by --steps is reproducible on one machine's CPU; "
            f"how far --minutes come depends on the machine's speed. {_default(DEFAULT.seed)}",
        ),
    ] = None,
    credit: Annotated[
        str | None, typer.Option(help="Who made the exemplar; kept in the model.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="The exemplar's license; kept in the model.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile with torch.compile first.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with NAME.pt.")] = False,
) -> None:
    """Train a texture generator from one picture."""
    from tn_train.data import has_transparency
    from tn_train.plan import Options, plan

    checkpoint, pixels = plan(
        options := Options(
            exemplar=exemplar,
            output=output,
            resume=resume,
            budget=_budget(steps, minutes),
            preset=preset,
            size=size,
            crop=Crop.parse(crop) if crop is not None else None,
            layers=_names(layers) if layers is not None else None,
            vgg19=vgg19,
            seed=seed,
            credit=credit,
            license=license_,
        )
    )
    if has_transparency(exemplar, checkpoint.crop):
        note(
            f"{exemplar} has transparent pixels: alpha is ignored, "
            "and the colours under it are learned like all others"
        )
    _train(checkpoint, pixels, options, device_name=device, compiled=compile_)


def _train(
    checkpoint: "Checkpoint",
    pixels: "Tensor",
    options: "Options",
    *,
    device_name: str,
    compiled: bool,
) -> None:
    from tn_train.interrupt import Interrupted
    from tn_train.loop import Run, choose_device
    from tn_train.outputs import Outputs
    from tn_train.plan import load_descriptor
    from tn_train.progress import duration
    from tn_train.texture import TextureTask

    device = choose_device(device_name)
    training = Run(checkpoint, device)
    outputs = Outputs(training, pixels, options.output)
    try:
        with _enough_memory(checkpoint.exemplar):
            descriptor = load_descriptor(checkpoint, options.vgg19).to(device)
            task = TextureTask(descriptor, pixels.to(device), checkpoint.training)
            if compiled:
                task.compile(training.generator)
            _watch(training, task, outputs)
    except Interrupted as stop:
        words = _to_go_on(options, device_name, compiled=compiled)
        note(f"saved {options.output} at step {training.step}; go on with: {_quoted(words)}")
        stop.pass_on()
        raise
    files = [str(path) for path in outputs.finish()]
    result(
        f"{files[0]}: loss {training.best_loss:.4f} after {training.step} steps in "
        f"{duration(training.seconds)} ({', '.join(files[1:])})"
    )


def _watch(training: "Run", task: "Task", outputs: "Outputs") -> None:
    """Train, show it and keep the files up to date."""
    from tn_train.interrupt import Interrupted
    from tn_train.loop import train
    from tn_train.progress import shown

    with shown() as show:

        def report(event: "Event") -> None:
            show(event)
            outputs.update(event)

        try:
            train(training, task, report)
        except Interrupted:
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
            "which needs more memory than there is: smaller --size, or --crop"
        ) from error


def _budget(steps: int | None, minutes: float | None) -> Budget | None:
    if steps is not None and minutes is not None:
        raise RequestError("--steps and --minutes are two ways to say how long: give one")
    if steps is None and minutes is None:
        return None
    if minutes is not None and not 0 < minutes < math.inf:
        raise RequestError(f"--minutes {minutes} is no time to train: give a positive number")
    return Budget(steps, minutes)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _to_go_on(options: "Options", device: str, *, compiled: bool) -> list[str]:
    words = ["tn-train", "texture", str(options.exemplar), "-o", str(options.output), "--resume"]
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
