"""tn-bench: the baseline that generators are compared with, and measures of their pictures."""

import dataclasses
import json
import math
import shlex
import sys
import tempfile
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tn_bench import config
from tn_bench.config import GATYS, Settings
from tn_bench.suites import NAMES
from tn_runtime import console
from tn_runtime.errors import ProviderError, RequestError
from tn_runtime.files import check_writable
from tn_runtime.version import __version__
from tn_train.config import Crop, TrainingConfig

if TYPE_CHECKING:  # torch takes seconds to import, and --help must not
    from collections.abc import Sequence

    from torch import Tensor

    from tn_bench.gatys import Result
    from tn_bench.measures.quality import Quality
    from tn_bench.suites.case import Device
    from tn_train.descriptor import Descriptor, Pooling

DEFAULT = TrainingConfig()

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Init(StrEnum):
    """What stylisation starts from."""

    CONTENT = "content"
    NOISE = "noise"


ExemplarArgument = Annotated[Path, typer.Argument(help="The picture that is to be resembled.")]
SizeOption = Annotated[
    int, typer.Option(min=1, help="Longest side of the exemplar, pixels; give that of training.")
]
CropOption = Annotated[
    str | None, typer.Option(metavar="X,Y,WxH", help="Take this region of the exemplar only.")
]
Vgg19Option = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Describe by this VGG-19 of torchvision's, not VGG-16."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]


@app.callback()
def bench() -> None:
    """Compare generators with the optimisation of Gatys et al., and pictures with exemplars."""


@app.command()
def gatys(
    exemplar: ExemplarArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help=".png, .tiff, .jpg or .webp.")],
    content: Annotated[
        Path | None, typer.Option(help="Paint this photo in the exemplar's style.")
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Evaluations of the loss at most.")
    ] = GATYS.steps,
    size: SizeOption = DEFAULT.size,
    crop: CropOption = None,
    content_size: Annotated[
        int, typer.Option(min=1, help="Longest side of the photo, pixels.")
    ] = 512,
    init: Annotated[Init, typer.Option(help="What to start from with a photo.")] = Init.CONTENT,
    content_weight: Annotated[
        float, typer.Option(help="Weight of the photo, beside the style.")
    ] = GATYS.content_weight,
    variation: Annotated[
        float, typer.Option(help="Weight of the total variation: takes away pixel noise.")
    ] = GATYS.variation_weight,
    pyramid: Annotated[
        bool,
        typer.Option(
            "--pyramid",
            help="From coarse to fine: optimise at 256 pixels, enlarge, and go on at twice the "
            "size up to --size.",
        ),
    ] = False,
    average: Annotated[
        bool, typer.Option("--average", help="Average pooling in the descriptor, not maximum.")
    ] = False,
    layers: Annotated[str, typer.Option(help="Layers of the style.")] = ",".join(DEFAULT.layers),
    vgg19: Vgg19Option = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise.")
    ] = GATYS.seed,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json_: JsonOption = False,
) -> None:
    """Make a texture, or a stylised photo, by optimising its pixels. Ctrl-C keeps the picture."""
    for name, weight in {"--content-weight": content_weight, "--variation": variation}.items():
        if not 0 <= weight < math.inf:
            raise RequestError(f"{name} {weight} is not a weight: give 0 or a positive number")
    if pyramid and content:
        raise RequestError("--pyramid is for textures: leave out --content")
    from tn_runtime.pictures import check_output

    check_writable(output, exemplar, *([content] if content else []))
    check_output(output, 1, 1)
    with console.busy("loading PyTorch ..."):
        from tn_bench.gatys import CONTENT_LAYER
        from tn_train.data import check_depth, read_exemplar
        from tn_train.descriptor import stride
        from tn_train.loop import choose_device
    target = choose_device(device)
    names = tuple(name.strip() for name in layers.split(",") if name.strip())
    if content and CONTENT_LAYER in names:
        raise RequestError(f"{CONTENT_LAYER} describes the photo: leave it out of --layers")
    wanted = (*names, CONTENT_LAYER) if content else names
    descriptor = _descriptor(vgg19, wanted, "average" if average else "max")
    pixels, facts = read_exemplar(exemplar, size=size, crop=_crop(crop))
    check_depth(facts, stride(descriptor.name, names))
    photo = None
    if content:
        photo, facts = read_exemplar(content, size=content_size)
        check_depth(facts, descriptor.stride)
    _optimize(
        output,
        descriptor.to(target),
        pixels.to(target),
        None if photo is None else photo.to(target),
        init,
        Settings(steps, seed, content_weight, variation),
        pyramid=pyramid,
        as_json=json_,
    )


@app.command()
def quality(
    exemplar: ExemplarArgument,
    pictures: Annotated[list[Path], typer.Argument(help="Made to resemble it; any sizes.")],
    gatys: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="Picture made by `tn-bench gatys`, to compare with."),
    ] = None,
    size: SizeOption = DEFAULT.size,
    crop: CropOption = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Show every layer's figures, not the summary only.")
    ] = False,
    vgg19: Vgg19Option = None,
    json_: JsonOption = False,
) -> None:
    """Measure how near pictures come to their exemplar, each figure beside its floor.

    Several pictures are taken as samples of one generator, and their diversity is measured, too.
    """
    with console.busy("loading PyTorch ..."):
        from tn_bench.measures.quality import measure
        from tn_bench.picture import to_pixels
        from tn_runtime.pictures import read
        from tn_train.data import read_exemplar

    pixels, _ = read_exemplar(exemplar, size=size, crop=_crop(crop))
    measured = measure(
        to_pixels(pixels[0]),
        [read(path).srgb() for path in pictures],
        read(gatys).srgb() if gatys else None,
        descriptor=partial(_descriptor, vgg19),
    )
    if json_:
        facts = {"exemplar": str(exemplar), "pictures": [str(path) for path in pictures]}
        console.result(json.dumps(facts | dataclasses.asdict(measured)))
    else:
        _show(measured, [path.stem for path in pictures], everything=all_)


@app.command()
def speed(
    model: Annotated[
        str, typer.Argument(help="Model file (.onnx), or a name that `tn-run models` lists.")
    ],
    sizes: Annotated[
        str, typer.Option(help="Sides of the square pictures, pixels.")
    ] = "256,512,1024,2048",
    rounds: Annotated[int, typer.Option(min=1, help="Processes for each figure.")] = 3,
    device: DeviceOption = "auto",
    json_: JsonOption = False,
) -> None:
    """Time tn-run's engine against PyTorch eager of the same network."""
    from tn_bench.speed import measure

    measured = measure(model, _sizes(sizes), rounds, _device(device), console.note)
    if json_:
        console.result(json.dumps(dataclasses.asdict(measured)))
        return
    for each in measured.timings:
        console.result(
            f"{each.size:5} px  {each.variant:8} {each.seconds * 1000:8.0f} ms "
            f"{each.megabytes:7.0f} MB"
        )
    for size, (times, share) in measured.ratios.items():
        console.result(f"{size:5} px  {times:.2f} times faster, {share:.0%} of the matrix product")
    console.result(
        f"matrix product: {measured.gemm_gflops:.0f} GFLOP/s in fp32; network: "
        f"{measured.mac_per_pixel / 1000:.1f} thousand multiplications per pixel"
    )


@app.command("run")
def run_(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the results; a run goes on there.")
    ],
    suites: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SUITE]...", help=f"Of {', '.join(NAMES)}; all without."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure less: a few minutes on two cores.")
    ] = False,
    device: DeviceOption = "auto",
    subjects: Annotated[
        list[str] | None,
        typer.Option(
            "--subject",
            metavar="MODEL=EXEMPLAR",
            help="Measure this model and its exemplar, not the shipped ones; may be repeated.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the shipped models' exemplars that are not in the package; "
            "train/zoo.toml says where they come from.",
        ),
    ] = None,
) -> None:
    """Measure speed, memory and quality against Gatys et al. and PyTorch.

    Ctrl-C keeps what is measured; the same command goes on.
    """
    names = tuple(suites or NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        raise RequestError(f"there is no suite {unknown[0]!r}; choose from {', '.join(NAMES)}")
    if subjects and pictures:
        raise RequestError("--pictures is for the shipped models: leave it out beside --subject")
    if pictures and not pictures.is_dir():
        raise RequestError(f"{pictures} is no folder: --pictures names the one with exemplars")
    target = _device(device)
    from tn_bench import running
    from tn_bench.progress import steps as shown
    from tn_bench.subjects import Subject, bundled
    from tn_bench.suites.case import Bench

    if subjects:
        chosen = [Subject.parse(each) for each in subjects]
    else:
        chosen, missing = bundled(pictures)
        if missing:
            lacking = ", ".join(f"{model} ({exemplar})" for model, exemplar in missing.items())
            console.note(f"left out, as the exemplar is not here (--pictures): {lacking}")
    if len({subject.name for subject in chosen}) < len(chosen):
        raise RequestError("two of the models have the same name; measure them in two runs")
    output.mkdir(parents=True, exist_ok=True)
    order = tuple(name for name in NAMES if name in names)
    with tempfile.TemporaryDirectory(prefix="tn-bench-") as work:
        extent = config.QUICK if quick else config.FULL
        bench = Bench(extent, target, chosen, output, Path(work))
        steps = running.plan(bench, order)
        results = running.begin(bench, order, steps, quick=quick, command=_command())
        with shown() as show:
            results = running.measure(results, steps, output, show)
    failed = [each for each in results.outcomes if each.failure]
    for each in failed:
        console.note_error(f"{each.suite}, {each.case}: {each.failure}")
    console.result(
        f"{output}: {sum(each.done for each in results.outcomes)} cases measured, "
        f"{len(failed)} failed, {sum(bool(each.skipped) for each in results.outcomes)} skipped; "
        f"see them: tn-bench report {output} -o report.html"
    )
    if failed:
        raise typer.Exit(console.SOME_FAILED)


@app.command()
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="What `tn-bench run` wrote; two compare.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The page to write, .html; a .md beside it.")
    ],
) -> None:
    """Write what was measured as one self-contained page, and as Markdown with plots."""
    if output.suffix != ".html":
        raise RequestError(f"{output} is no name for a page: end it in .html")
    from tn_bench.report.page import write

    for path in write(folders, output):
        console.result(str(path))


def _optimize(
    output: Path,
    descriptor: "Descriptor",
    exemplar: "Tensor",
    content: "Tensor | None",
    init: Init,
    settings: Settings,
    *,
    pyramid: bool,
    as_json: bool,
) -> None:
    from tn_bench.gatys import octaves_of, stylize, synthesize, synthesize_in_octaves
    from tn_bench.progress import shown
    from tn_train.interrupt import Interrupted

    latest: Result | None = None
    try:
        sizes = 1 + octaves_of(exemplar) if pyramid else 1
        with shown(sizes * settings.steps) as show:

            def report(result: "Result") -> None:
                nonlocal latest
                latest = result
                show(result.records[-1])

            if pyramid:
                done = synthesize_in_octaves(descriptor, exemplar, settings, report)
            elif content is None:
                done = synthesize(descriptor, exemplar, settings=settings, report=report)
            else:
                done = stylize(descriptor, exemplar, content, init.value, settings, report)
    except Interrupted as stop:
        if latest:
            _save(output, latest)
            count = latest.records[-1].evaluations
            console.note(f"saved {output} as it was after {count} evaluations")
        stop.pass_on()
        raise
    _save(output, done)
    _report(output, done, as_json=as_json)


def _save(output: Path, result: "Result") -> None:
    from tn_bench.picture import to_pixels
    from tn_runtime.pictures import Rows, save

    pixels = to_pixels(result.picture[0])
    metadata = {"Software": f"texture-networks {__version__}"}
    save(output, Rows.of_array(pixels, metadata))


def _report(output: Path, result: "Result", *, as_json: bool) -> None:
    last = result.records[-1]
    if as_json:
        records = [dataclasses.asdict(record) for record in result.records]
        console.result(json.dumps({"output": str(output), "loss": result.loss, "records": records}))
    else:
        console.result(
            f"{output}: loss {result.loss:.4f} after {last.evaluations} evaluations "
            f"in {last.seconds:.1f} s"
        )


def _show(measured: "Quality", names: list[str], *, everything: bool) -> None:
    from rich.console import Console

    from tn_bench.measures.table import table

    if measured.period:
        down, across = measured.period
        console.note(
            f"the exemplar repeats itself after {down} pixels down and {across} across: its "
            "floors are too low, and diversity has no measure; --crop a part that does not"
        )
    shown = table(measured, names, everything=everything)
    console_ = Console()
    width = console_.measure(shown, options=console_.options.update(width=10_000)).maximum
    Console(width=max(width, console_.width)).print(shown)
    for name, value in measured.diversity.items():
        console.result(f"diversity in {name}: {value:.2f} (1: as parts of the exemplar)")


def _descriptor(
    vgg19_file: Path | None, layers: "Sequence[str]", pooling: "Pooling" = "max"
) -> "Descriptor":
    from tn_train.descriptor import vgg16, vgg19

    if vgg19_file is None:
        return vgg16(layers, pooling=pooling)
    return vgg19(vgg19_file, layers, pooling=pooling)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = [size.strip() for size in text.split(",")]
    if not all(size.isdecimal() and 1 <= int(size) <= 8192 for size in sizes):
        raise RequestError(f"--sizes {text!r}: give numbers from 1 to 8192, such as 256,1024")
    return tuple(map(int, sizes))


def _device(name: str) -> "Device":
    """Return the device that both engines can use: `auto` takes CUDA where both have it."""
    from tn_runtime import providers

    if name not in {"auto", "cpu", "cuda"}:
        raise RequestError(f"device {name!r} is unknown; choose one of auto, cpu, cuda")
    if name == "cpu":
        return "cpu"
    import torch

    obstacle = providers.cuda().obstacle or (
        None if torch.cuda.is_available() else "this build of PyTorch sees no GPU"
    )
    if obstacle is None:
        return "cuda"
    if name == "cuda":
        raise ProviderError(f"CUDA cannot be measured here: {obstacle}; use --device cpu")
    return "cpu"


def _command() -> str:
    return shlex.join(["tn-bench", *sys.argv[1:]])


def _crop(text: str | None) -> Crop | None:
    return Crop.parse(text) if text is not None else None


def main() -> NoReturn:
    """Entry point of `tn-bench`."""
    console.run(app)
