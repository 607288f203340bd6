"""`tn-train`: options in, a checkpoint and pictures about it out."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tn_runtime.commands.options import RayOption
from tn_runtime.console import SOME_FAILED, busy, note, note_error, result, run
from tn_runtime.errors import RequestError, TextureNetworksError
from tn_runtime.version import __version__
from tn_train.config import PRESETS, Crop, Kind, budget
from tn_train.options import PictureOptions, RunOptions, default, first, with_run_options

if TYPE_CHECKING:  # torch takes seconds to import, and --help must not
    from tn_train.plan import Options
    from tn_train.zoo import Recipe


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
            help="Longest side of the exemplar in training, pixels; more than 256 take fine "
            "levels, learned one after the other. [default: 1024; 512 for --minutes below 5; 256 "
            "for --preset paper]",
        ),
    ] = None,
    even_light: Annotated[
        bool,
        typer.Option(
            "--even-light", help="Divide out slow changes of light across the photo first."
        ),
    ] = False,
    layers: Annotated[
        str | None, typer.Option(metavar="NAME[=WEIGHT],...", help=_layers_help("texture"))
    ] = None,
    run: PictureOptions,
) -> None:
    """Train a texture generator from one picture."""
    _train(
        run,
        layers,
        exemplars=(exemplar,),
        preset=preset,
        size=size,
        even_light=even_light or None,
    )


@app.command()
@with_run_options
def style(
    *,
    paintings: Annotated[
        list[Path],
        typer.Argument(
            metavar="PAINTING...",
            help="The picture whose style is learned. Several pictures make one model with "
            "several styles.",
        ),
    ],
    content: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Photos to practise on, in this folder and below. "
            "[default: the ten photos of the package]",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Checkpoint of a style to start from. [default: none]"
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(help=_presets("style"))] = None,
    style_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest side of the painting in training, in pixels. A larger size gives larger "
            f"strokes. {default(first('style').size)}",
        ),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(metavar="NAME[=WEIGHT],...", help=_layers_help("style"))
    ] = None,
    content_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of the content loss. A larger one keeps more of the photo. "
            f"{default(first('style').content_weight)}"
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
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Checkpoint of a style to start from. [default: none]"
        ),
    ] = None,
    run: RunOptions,
) -> None:
    """Train one model on many paintings; `tn-train style --from` can start from it.

    Many paintings need hours: give --minutes.
    """
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


@app.command()
def zoo(
    models: Annotated[Path, typer.Argument(metavar="LIST", help="The models to train, NAME.toml.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the checkpoints.")
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the pictures in LIST that are not in the package."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device to train on: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    ray: RayOption = None,
) -> None:
    """Train all models of a list, such as train/zoo.toml; those that are finished are skipped.

    After a stop, the same command continues.
    """
    with busy("loading PyTorch ..."):
        from tn_train.interrupt import Interrupted
        from tn_train.loop import choose_device
        from tn_train.progress import shown
        from tn_train.training import Training
        from tn_train.zoo import read_zoo

    recipes = read_zoo(models, pictures)
    choose_device(device)
    if output.exists() and not output.is_dir():
        raise RequestError(f"{output} is a file: name a folder for the checkpoints")
    output.mkdir(parents=True, exist_ok=True)
    waiting, failed = _waiting(recipes, output)
    there = len(recipes) - len(waiting) - len(failed)
    if ray is not None:
        failed += _zoo_on_ray(waiting, output, device, ray)
    for recipe in waiting if ray is None else ():
        name = recipe.entry.name
        try:
            training = Training(recipe.options(output), device, note)
            with shown() as show:
                path, *_ = training.train(show)
        except Interrupted as stop:
            note(f"saved {name} at step {training.run.step}; the same command goes on")
            stop.pass_on()
            raise
        except TextureNetworksError as error:
            note_error(f"{name}: {error}")
            failed.append(name)
        else:
            result(f"{path}: loss {training.run.kept_loss:.4f} after {training.run.step} steps")
    trained = len(recipes) - there - len(failed)
    lost = f", {len(failed)} failed ({', '.join(failed)})" if failed else ""
    result(f"{len(recipes)} models: {trained} trained, {there} there before{lost}")
    if failed:
        raise typer.Exit(SOME_FAILED)


def _waiting(recipes: "list[Recipe]", output: Path) -> "tuple[list[Recipe], list[str]]":
    """Return the models that are to be trained, and the names of those that cannot be."""
    waiting, failed = [], []
    for recipe in recipes:
        try:
            if not recipe.finished(output):
                waiting.append(recipe)
        except TextureNetworksError as error:
            note_error(f"{recipe.entry.name}: {error}")
            failed.append(recipe.entry.name)
    return waiting, failed


def _zoo_on_ray(recipes: "list[Recipe]", output: Path, device: str, address: str) -> list[str]:
    """Train models on a cluster; return the names of those that failed."""
    from tn_runtime.cluster.engine import cluster
    from tn_train.ray_zoo import train_all

    failed = []
    with cluster(address) as workers:
        for done in train_all(recipes, output.absolute(), device, workers):
            name = done.recipe.entry.name
            if done.error:
                note_error(f"{name}: {done.error}")
                failed.append(name)
            else:
                result(f"{output / name}.pt: loss {done.loss:.4f} after {done.steps} steps")
    return failed


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
        "budget": budget(asked.steps, asked.minutes),
        "seed": asked.seed,
    }


def _run(options: "Options", asked: RunOptions, again: list[str]) -> None:
    """Run what was asked for; `again` are the words of a command that goes on with it."""
    from tn_runtime.errors import WorkerError
    from tn_train.interrupt import Interrupted
    from tn_train.progress import duration, shown
    from tn_train.training import Training

    training = Training(options, asked.device, note)
    try:
        with shown() as show:
            files = training.train(show, compile_=asked.compile_)
    except (Interrupted, WorkerError) as stop:
        words = _quoted([*again, *_to_go_on(asked)])
        saved = f"saved {options.output} at step {training.run.step}; go on with: {words}"
        if isinstance(stop, WorkerError):
            raise WorkerError(f"{stop}; {saved}") from stop
        note(saved)
        stop.pass_on()
        raise
    run = training.run
    result(
        f"{files[0]}: loss {run.kept_loss:.4f} after {run.step} steps in "
        f"{duration(run.seconds)} ({', '.join(map(str, files[1:]))})"
    )


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
