"""The generator against Gatys' optimisation: loss against time, quality, memory."""
# ruff: noqa: PLC0415

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tn_bench.config import GATYS, Extent, Settings
from tn_bench.machine import cores
from tn_bench.processes import in_process, timed
from tn_bench.results import Fact, Measurement
from tn_bench.subjects import Subject, held_out, photo_pixels
from tn_bench.suites.case import Bench, Case, Device, Found, measurement
from tn_bench.suites.latency import memory
from tn_runtime.pixels import Pixels

if TYPE_CHECKING:
    from torch import Tensor

    from tn_bench.gatys import Objective
    from tn_train.descriptor import Descriptor

TITLE = "Against Gatys' optimisation"
HOW = (
    "Both sides make pictures of the same size, on the same device and threads, each in a fresh "
    "process. Gatys' optimisation is that of `tn-bench gatys`: L-BFGS on the pixels, from noise "
    "(textures) or from the photo (styles), against the statistics of the exemplar as the "
    "generator saw it in training. The generator runs as the exported program, for fresh seeds. "
    "Its loss is computed from its 8-bit pictures by the very function that Gatys minimises: the "
    "style losses of relu1_1 to relu4_1, and for styles a tenth of the content loss at relu4_2. As "
    "generators are trained on coarser octaves too, the loss of all octaves (full size, 1/2, 1/4) "
    "stands beside it, for Gatys' pictures on the way, and measures that neither side was trained "
    "on. The crossing time is the first moment at which Gatys' loss is as low as the median of the "
    "generator's; the optimisation alone counts, without start-up. Paid for: after so many "
    "pictures the time of training is made up for."
)
SNAPSHOTS = 12
"""Pictures of Gatys' that are kept on the way."""
FIRST_SEED = 1000
MEASURES = (
    "marginals relu4_3",
    "style, unseen layers",
    "style, unseen layers at 1/2",
    "patches",
    "patches 1x",
)
"""Of textures: neither side minimises them."""
EVALUATION = 0.22
"""Seconds of one evaluation at 256 px, about."""


@dataclass(frozen=True)
class Way:
    """What an optimisation was like."""

    seconds: list[float]
    loss: list[float]
    """What is compared, after so many seconds."""
    snapshots: list[int]
    """Indices of the pictures that were kept."""
    pictures: list[Pixels]
    memory: dict[str, float]


def cases(bench: Bench) -> Iterator[Case]:
    """Return the cases: each is a subject at a size."""
    extent = bench.extent
    for subject in bench.first(extent.gatys_models):
        for size in extent.gatys_sizes:
            cost = 15 + EVALUATION * (size / 256) ** 2 * (extent.gatys_steps + 20)
            yield Case(f"{subject.name}, {size} px", cost, partial(_compare, bench, subject, size))


def _compare(bench: Bench, subject: Subject, size: int) -> Found:
    extent = bench.extent
    settings = dataclasses.replace(GATYS, steps=extent.gatys_steps)
    photo = held_out()[-1] if subject.kind == "style" else None
    facts: dict[str, Fact] = {"model": subject.name, "kind": subject.kind, "size": size}
    common = (subject, photo, size, cores(), bench.device)
    way = in_process(optimised, *common, settings)
    latency, samples, peaks = in_process(sampled, *common, extent)
    judged, shown = in_process(judge, subject, photo, size, samples, way, extent.judged)
    kept = [way.seconds[index] for index in way.snapshots]
    found = [
        measurement("gatys seconds", "s", way.seconds, **facts),
        measurement("gatys loss", "", way.loss, **facts),
        measurement("gatys snapshot seconds", "s", kept, **facts),
        measurement("latency", "s", latency, side="generator", **facts),
        measurement("training", "s", [subject.spec.training.seconds], **facts),
        *judged_measurements(judged, facts),
    ]
    for side, memories in (("generator", peaks), ("gatys", way.memory)):
        found += [
            measurement(figure, "MB", [value], side=side, **facts)
            for figure, value in memories.items()
        ]
    pictures = {
        name: bench.keep(f"gatys {subject.name} {size} {name}", pixels)
        for name, pixels in shown.items()
    } | {
        "generator": bench.keep(f"gatys {subject.name} {size} generator", samples[0]),
        "Gatys": bench.keep(f"gatys {subject.name} {size} gatys", way.pictures[-1]),
    }
    return Found(found, pictures)


def optimised(
    subject: Subject,
    photo: Path | None,
    size: int,
    threads: int,
    device: Device,
    settings: Settings,
) -> Way:
    """Run Gatys' optimisation in this process."""
    import torch

    from tn_bench.gatys import Result, optimize
    from tn_bench.picture import to_pixels

    torch.set_num_threads(threads)
    objective, start = _objective(subject, photo, size, device, settings)
    last = settings.steps - 1
    wanted = {round(last ** (k / (SNAPSHOTS - 1))) for k in range(1, SNAPSHOTS)} | {0, last}
    snapshots: dict[int, Pixels] = {}

    def report(result: Result) -> None:
        index = len(result.records) - 1
        if index in wanted:
            snapshots[index] = to_pixels(result.picture[0])

    result = optimize(objective, start, settings.steps, report)
    end = len(result.records) - 1
    snapshots[end] = to_pixels(result.picture[0])
    records = result.records
    return Way(
        [record.seconds for record in records],
        [record.total if photo else record.loss for record in records],
        sorted(snapshots),
        [snapshots[index] for index in sorted(snapshots)],
        memory(device),
    )


def _objective(
    subject: Subject, photo: Path | None, size: int, device: Device, settings: Settings
) -> "tuple[Objective, Tensor]":
    """Return what is minimised, and what it starts from."""
    from tn_bench.gatys import Objective, noise

    exemplar = subject.pixels().to(device)
    descriptor = _descriptor(with_content=photo is not None).to(device)
    if photo is None:
        start = noise(exemplar, (size, size), settings.seed)
        return Objective(descriptor, exemplar, None, settings), start
    content = photo_pixels(photo, size).to(device)
    return Objective(descriptor, exemplar, content, settings), content


def _descriptor(*, with_content: bool) -> "Descriptor":
    from tn_bench.gatys import CONTENT_LAYER
    from tn_train.config import TrainingConfig
    from tn_train.descriptor import vgg16

    layers = TrainingConfig().layers
    return vgg16((*layers, CONTENT_LAYER) if with_content else layers)


def sampled(
    subject: Subject,
    photo: Path | None,
    size: int,
    threads: int,
    device: Device,
    extent: Extent,
) -> tuple[list[float], list[Pixels], dict[str, float]]:
    """Return the seconds of each run, the pictures, and the peaks of memory of this process."""
    from tn_runtime import load, stylize, synthesize

    model = load(subject.model, provider=device, threads=threads)
    seeds = range(FIRST_SEED, FIRST_SEED + extent.seeds)
    if photo is None:
        seconds = timed(lambda: synthesize(model, (size, size), FIRST_SEED), extent)
        peaks = memory(device)
        return seconds, [synthesize(model, (size, size), seed) for seed in seeds], peaks
    content = _shrunk(photo, size)
    seconds = timed(lambda: stylize(model, content), extent)
    peaks = memory(device)
    if not model.spec.takes_seed:
        return seconds, [stylize(model, content)], peaks
    return seconds, [stylize(model, content, seed) for seed in seeds], peaks


def _shrunk(photo: Path, size: int) -> Pixels:
    """Return what `read_exemplar` does, without torch."""
    from PIL import Image

    from tn_runtime.pictures import read

    pixels = read(photo).srgb()
    scale = min(1.0, size / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


Judged = dict[tuple[str, str], list[float]]
"""Values by (figure, side): `generator` or `gatys`; `floor` of some."""


def judge(
    subject: Subject,
    photo: Path | None,
    size: int,
    samples: Sequence[Pixels],
    way: Way,
    judged: int,
) -> tuple[Judged, dict[str, Pixels]]:
    """Compute the losses of both sides, and the measures that neither was trained on.

    Returns:
        These, and the pictures that both sides were given, by name.
    """
    from tn_bench.picture import to_pixels

    found = _losses(subject, photo, size, samples, way)
    exemplar = to_pixels(subject.pixels()[0])
    if photo is None:
        measured = _measures(subject, samples[:judged], way.pictures[-1])
        return found | measured, {"exemplar": exemplar[:size, :size]}
    shown = {"exemplar": exemplar, "photo": to_pixels(photo_pixels(photo, size)[0])}
    return found | _scores(subject, photo, size, [samples[0], way.pictures[-1]]), shown


def _losses(
    subject: Subject, photo: Path | None, size: int, samples: Sequence[Pixels], way: Way
) -> Judged:
    import torch

    from tn_bench.picture import to_tensor
    from tn_train.config import TrainingConfig
    from tn_train.losses import OctavesLoss

    config = TrainingConfig()
    objective, _ = _objective(subject, photo, size, "cpu", GATYS)
    octaves = OctavesLoss(
        objective.descriptor,
        subject.pixels(),
        config.octaves,
        normalize_gradients=False,
        layers=config.layers,
    )

    @torch.no_grad()
    def losses(pixels: Pixels) -> tuple[float, float]:
        picture = to_tensor(pixels)[None]
        style, total = objective(picture)
        own = (total if photo else style).item()
        return own, own + float(sum(octaves(picture).values()))

    pairs = {
        "generator": [losses(each) for each in samples],
        "gatys": [losses(each) for each in way.pictures],
    }
    found: Judged = {}
    for side, values in pairs.items():
        found["loss", side] = [own for own, _ in values]
        found["loss of all octaves", side] = [all_ for _, all_ in values]
    return found


def _measures(subject: Subject, samples: Sequence[Pixels], gatys: Pixels) -> Judged:
    from tn_bench.measures.quality import measure
    from tn_bench.picture import to_pixels

    quality = measure(to_pixels(subject.pixels()[0]), samples, gatys)
    found: Judged = {}
    for row in quality.rows:
        if row.name in MEASURES:
            assert row.gatys is not None
            found[row.name, "generator"] = list(row.pictures)
            found[row.name, "gatys"] = [row.gatys]
            found[row.name, "floor"] = [row.floor]
    return found


def _scores(subject: Subject, photo: Path, size: int, pictures: Sequence[Pixels]) -> Judged:
    from tn_bench.measures.stylization import LAYERS, Stylization
    from tn_bench.picture import to_tensor
    from tn_train.descriptor import vgg16

    stylization = Stylization(vgg16(LAYERS), subject.pixels()[0])
    content = photo_pixels(photo, size)[0]
    found: Judged = {}
    for side, pixels in zip(("generator", "gatys"), pictures, strict=True):
        score = stylization(to_tensor(pixels), content)
        parts = {"hand": score.hand, "tones": score.tones, "contrast": score.contrast}
        for name, value in ({"score": score.total} | parts).items():
            found[name, side] = [value]
    return found


def judged_measurements(judged: Judged, facts: dict[str, Fact]) -> list[Measurement]:
    """Return the values as measurements."""
    return [
        measurement(figure, "", values, side=side, **facts)
        for (figure, side), values in judged.items()
    ]
