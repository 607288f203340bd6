"""`tn-train`: options in, a checkpoint and pictures about it out."""

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tn_runtime.console import note, result, run
from tn_runtime.errors import RequestError
from tn_train.config import PRESETS, Budget, Crop, TrainingConfig

if TYPE_CHECKING:  # torch takes seconds to import, and --help must not
    from torch import Tensor

    from tn_train.checkpoint import Checkpoint
    from tn_train.loop import Event
    from tn_train.plan import Options

DEFAULT = TrainingConfig()

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def train() -> None:
    """Train generators with PyTorch; tn-export turns what comes out into an ONNX file."""


@app.command()
def texture(
    exemplar: Annotated[
        Path, typer.Argument(metavar="EXEMPLAR", help="The picture to learn from.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint, NAME.pt.")],
    minutes: Annotated[
        float | None,
        typer.Option(help="Train so long in all.", show_default=str(Budget().minutes)),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train so many steps in all instead.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(PRESETS)}.", show_default="paper")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest side of the exemplar in training, pixels.",
            show_default=str(DEFAULT.size),
        ),
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="X,Y,WxH", help="Learn from this region only.")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Of the descriptor.", show_default=",".join(DEFAULT.layers)),
    ] = None,
    vgg19: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Describe by this VGG-19 of torchvision's, not VGG-16."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**63 - 1, help="Of weights and noise.", show_default=str(DEFAULT.seed)
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
    from tn_train.loop import Run, choose_device, train
    from tn_train.outputs import Outputs
    from tn_train.plan import load_descriptor
    from tn_train.progress import duration, shown
    from tn_train.texture import TextureTask

    device = choose_device(device_name)
    descriptor = load_descriptor(checkpoint, options.vgg19).to(device)
    task = TextureTask(descriptor, pixels.to(device), checkpoint.training)
    training = Run(checkpoint, device)
    outputs = Outputs(training, pixels, options.output)
    if compiled:
        task.compile(training.generator)
    try:
        with shown() as show:

            def report(event: "Event") -> None:
                show(event)
                outputs.update(event)

            train(training, task, report)
    except Interrupted:
        outputs.save()
        note(f"saved {options.output} at step {training.step}; go on with: {_resume(options)}")
        raise
    files = [str(path) for path in outputs.finish()]
    result(
        f"{files[0]}: loss {training.best_loss:.4f} after {training.step} steps in "
        f"{duration(training.seconds)} ({', '.join(files[1:])})"
    )


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


def _resume(options: "Options") -> str:
    words = ["tn-train", "texture", str(options.exemplar), "-o", str(options.output), "--resume"]
    if options.vgg19:
        words += ["--vgg19", str(options.vgg19)]
    return shlex.join(words)


def main() -> None:
    """Run `tn-train`."""
    run(app)
