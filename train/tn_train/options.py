"""Options that all commands of tn-train have, declared once."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from tn_train.config import LARGEST_SEED, PRESETS, Budget, Kind, TrainingConfig


def default(value: object) -> str:
    """Return typer's words about a default. The options' own is None: nothing was asked for."""
    return f"[default: {value:g}]" if isinstance(value, float) else f"[default: {value}]"


def first(kind: Kind) -> TrainingConfig:
    """Return how the default preset trains."""
    return next(iter(PRESETS[kind].values())).training


@dataclass(frozen=True)
class RunOptions:
    """What all commands are asked for; None where nothing was."""

    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint, NAME.pt.")]
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes of training in all; with --resume what was trained before counts. "
            f"{default(Budget().minutes)}"
        ),
    ] = None
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of training in all, in place of --minutes.")
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LARGEST_SEED,
            help="Seed of weights, noise and crops. The same seed, --steps and number of threads "
            f"give the same model on one machine's CPU. {default(TrainingConfig().seed)}",
        ),
    ] = None
    device: Annotated[
        str, typer.Option(help="Device to train on: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto"
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile the steps first: minutes at the start.")
    ] = False
    resume: Annotated[bool, typer.Option("--resume", help="Continue the training of NAME.pt.")] = (
        False
    )


@dataclass(frozen=True)
class PictureOptions(RunOptions):
    """What the commands that learn from pictures of the user's are asked for besides."""

    crop: Annotated[
        str | None, typer.Option(metavar="X,Y,WxH", help="Learn from this region only.")
    ] = None
    vgg19: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of torchvision's VGG-19, in place of VGG-16."),
    ] = None
    credit: Annotated[
        str | None, typer.Option(help="Who made the picture learned from; kept in the model.")
    ] = None
    license_: Annotated[
        str | None, typer.Option("--license", help="Its license; kept in the model.")
    ] = None


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose last parameter `run` is a RunOptions, the options as its own."""
    signature = inspect.signature(command, eval_str=True)
    options: type[RunOptions] = signature.parameters["run"].annotation
    hints = get_type_hints(options, include_extras=True)
    shared = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if each.default is dataclasses.MISSING
            else each.default,
            annotation=hints[each.name],
        )
        for each in dataclasses.fields(options)
    ]
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in signature.parameters.values()
        if each.name != "run"
    ]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:  # noqa: ANN401 - what typer parsed
        asked = {each.name: values.pop(each.name) for each in shared}
        command(**values, run=options(**asked))

    parameters = [*own[:1], *shared, *own[1:]]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer's way in
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped
