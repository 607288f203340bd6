"""How good a generator is after so many minutes of training, and how many steps a minute has."""
# ruff: noqa: PLC0415

import statistics
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from tn_bench.processes import in_process
from tn_bench.results import Fact, Measurement
from tn_bench.subjects import Subject
from tn_bench.suites.case import Bench, Case, Device, Found, measurement
from tn_runtime.pixels import Pixels
from tn_runtime.schema import build

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tn_train.checkpoint import Checkpoint
    from tn_train.config import Stage
    from tn_train.loop import Evaluation, Event, Task

TITLE = "Training"
HOW = (
    "As `tn-train texture EXEMPLAR --minutes M` and `tn-train style PAINTING --minutes M` do it, "
    "with the network and the recipe that the model file names, from nothing. At each evaluation "
    "the loss that tn-train reports (fixed "
    "noise, all octaves; for styles on photos held out), and a measure of the pictures: marginals "
    "relu4_3 for a texture (smaller is nearer), the score for a style (larger is better). The rate "
    "falls to nothing over the length of a run, so a point on the way is not what a shorter run "
    "would have reached. Steps per minute count the time of evaluations."
)
MEASURED = 8
"""Evaluations of a run whose pictures are measured, the last among them."""


def cases(bench: Bench) -> Iterator[Case]:
    """Return the cases: one texture and one style."""
    for subject in bench.first(1):
        cost = 60 * bench.extent.minutes + 20
        yield Case(subject.name, cost, partial(_train, bench, subject))


def _train(bench: Bench, subject: Subject) -> Found:
    found, picture = in_process(trained, subject, bench.extent.minutes, bench.device)
    name = f"training {subject.name}"
    return Found(found, {"generator": bench.keep(name, picture)})


def trained(subject: Subject, minutes: float, device: Device) -> tuple[list[Measurement], Pixels]:
    """Train in this process; return what was measured, and the last picture."""
    import torch

    from tn_bench.picture import to_pixels
    from tn_train.checkpoint import Checkpoint
    from tn_train.config import Budget, GeneratorConfig, TrainingConfig
    from tn_train.loop import Run, train
    from tn_train.refinement import beginning

    target = torch.device(device)
    training = build(TrainingConfig, subject.training)
    checkpoint = Checkpoint(
        name=subject.name,
        preset=subject.spec.generator.preset,
        config=beginning(build(GeneratorConfig, subject.spec.generator.config), training),
        training=training,
        budget=Budget(minutes=minutes),
        descriptor="vgg16",
        exemplars=subject.spec.exemplars[:1],
    )
    seen: list[tuple[float, int, Evaluation]] = []
    last = 0

    def report(event: "Event") -> None:
        nonlocal last
        last = event.step
        if event.evaluation:
            seen.append((event.seconds, event.step, event.evaluation))

    with ExitStack() as workers:
        task = _task(checkpoint, subject, target, workers)
        run = Run(checkpoint, target)
        train(run, task, report)
    facts: dict[str, Fact] = {"model": subject.name, "kind": subject.kind, "minutes": minutes}
    found = [
        measurement("evaluation", "s", [seconds for seconds, _, _ in seen], **facts),
        measurement("loss", "", [evaluation.loss for _, _, evaluation in seen], **facts),
        measurement("steps", "", [last], **facts),
        measurement("training", "s", [run.seconds], **facts),
    ]
    step = max(1, len(seen) // MEASURED)
    chosen = seen[::-1][::step][::-1]
    name, values = _measured(subject, [evaluation for _, _, evaluation in chosen], task)
    found.append(measurement("measured", "s", [seconds for seconds, _, _ in chosen], **facts))
    found.append(measurement(name, "", values, side="generator", **facts))
    return found, to_pixels(seen[-1][2].pictures[0])


def _task(
    checkpoint: "Checkpoint", subject: Subject, device: "torch.device", workers: ExitStack
) -> "Task":
    from tn_train.crops import batches
    from tn_train.photos import find, held_out
    from tn_train.plan import load_descriptor
    from tn_train.style import StyleTask
    from tn_train.texture import TextureTask

    training = checkpoint.training
    descriptor = load_descriptor(checkpoint, None).to(device)
    pixels = subject.pixels().to(device)
    if subject.kind == "texture":
        return TextureTask(descriptor, pixels, training)
    photos = find(None)

    def crops(stage: "Stage", numbers: Iterable[int]) -> "Iterator[Tensor]":
        stream = batches(
            photos,
            seed=training.seed,
            numbers=numbers,
            sample=stage.sample,
            batch=stage.batch,
            report=lambda _: None,
        )
        workers.callback(_close, weakref.ref(stream))
        return stream

    held = held_out(photos, max(stage.sample for stage in training.stages), lambda _: None)
    return StyleTask(descriptor, [pixels], crops, held, training)


def _close(stream: "weakref.ref[Generator[Tensor, None, None]]") -> None:
    if (made := stream()) is not None:
        made.close()


def _measured(
    subject: Subject, evaluations: "list[Evaluation]", task: "Task"
) -> tuple[str, list[float]]:
    """Return the name of a measure, and its values for the pictures of evaluations."""
    from tn_bench.measures.features import FeatureDistance
    from tn_bench.measures.quality import STEERING
    from tn_bench.measures.stylization import LAYERS, Stylization
    from tn_train.descriptor import vgg16
    from tn_train.style import StyleTask

    exemplar = subject.pixels()[0]
    if isinstance(task, StyleTask):
        stylization = Stylization(vgg16(LAYERS), exemplar)
        return "score", [
            statistics.mean(
                stylization(picture, photo).total
                for picture, photo in zip(each.pictures, task.held, strict=True)
            )
            for each in evaluations
        ]
    layer = STEERING.rpartition(" ")[2]
    distance = FeatureDistance(vgg16((layer,)), exemplar, (), (layer,), half=False)
    return STEERING, [distance(each.pictures[0])[STEERING] for each in evaluations]
