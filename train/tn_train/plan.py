"""From what a person asks for to a run that can begin: a new one, or one to go on with."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tn_runtime.errors import CheckpointError, RequestError
from tn_runtime.files import check_writable
from tn_runtime.spec import Exemplar
from tn_train import base
from tn_train import checkpoint as checkpoints
from tn_train.checkpoint import Checkpoint
from tn_train.collection import Collection
from tn_train.config import (
    BASE,
    LARGEST_SEED,
    LARGEST_SIZE,
    PRESETS,
    Budget,
    Crop,
    Kind,
    Preset,
    TrainingConfig,
)
from tn_train.data import SMALLEST, check_depth, read_exemplar
from tn_train.descriptor import Descriptor, check_layers, stride, vgg16, vgg19
from tn_train.lattice import find_waves
from tn_train.light import evened
from tn_train.photos import Photos, find, listed
from tn_train.refinement import halved, stages

SIZE_OPTION: dict[Kind, str] = {"texture": "--size", "style": "--style-size"}

SHORT = 5.0
"""Minutes: in less time than this, fine levels come no further than `SHORT_SIZE`."""
SHORT_SIZE = 512
"""Longest side of the exemplar, pixels."""

TRAINING = (
    "size",
    "even_light",
    "layers",
    "weights",
    "content_weight",
    "variation_weight",
    "seed",
)
"""Options that are fields of a TrainingConfig."""


@dataclass(frozen=True)
class Options:
    """What was asked for; None where nothing was."""

    exemplars: tuple[Path, ...]
    """One; of styles, one or more paintings."""
    output: Path
    kind: Kind = "texture"
    collection: Collection | None = None
    """The list that the exemplars come from; of a base alone."""
    content: Path | None = None
    """The folder of photos; of a style alone."""
    start: Path | None = None
    """The checkpoint to start from; of a style alone."""
    resume: bool = False
    budget: Budget | None = None
    preset: str | None = None
    size: int | None = None
    even_light: bool | None = None
    """Of a texture alone."""
    crop: Crop | None = None
    layers: tuple[str, ...] | None = None
    weights: dict[str, float] | None = None
    content_weight: float | None = None
    variation_weight: float | None = None
    vgg19: Path | None = None
    seed: int | None = None
    credit: str | None = None
    license: str | None = None


@dataclass(frozen=True)
class Plan:
    """A run that can begin."""

    checkpoint: Checkpoint
    pixels: tuple[Tensor, ...]
    """Of each exemplar, float32 (1, 3, H, W), RGB in [0, 1]."""
    photos: Photos | None
    """The photos to learn on; of a style alone."""


def plan(options: Options) -> Plan:
    """Return the run that is asked for.

    Raises:
        RequestError: options that cannot be, or that contradict the run to go on with.
        CheckpointError: the run to go on with is not sound, or of another exemplar.
        PictureError: the exemplar cannot be read.
    """
    if not options.exemplars:
        raise RequestError("there is no picture to learn from: give at least one")
    _check_output(options)
    if options.resume and options.start:
        raise RequestError("--from is for a run that begins: leave it out, or leave out --resume")
    photos = _photos(options)
    checkpoint, pixels = _resumed(options, photos) if options.resume else _new(options, photos)
    return Plan(checkpoint, pixels, photos)


def _photos(options: Options) -> Photos | None:
    if options.kind == "texture":
        return None
    if options.collection and options.collection.photos:
        return listed(options.collection.photos)
    return find(options.content)


def load_descriptor(checkpoint: Checkpoint, vgg19_file: Path | None) -> Descriptor:
    """Return the descriptor that the run is, or was, trained with, in fp32."""
    layers = _described(checkpoint.training, checkpoint.config.kind)
    return vgg19(vgg19_file, layers) if vgg19_file else vgg16(layers)


def _check_output(options: Options) -> None:
    path = options.output
    if path.suffix != ".pt" or path.is_dir():
        raise RequestError(f"{path} is not a name for a checkpoint: end it in .pt")
    if path.exists() and not options.resume:
        raise RequestError(
            f"{path} exists: go on with it (--resume), choose another name, or delete it"
        )
    check_writable(path)


def _described(training: TrainingConfig, kind: Kind) -> tuple[str, ...]:
    """Return the layers that a run needs of its descriptor."""
    content = (training.content_layer,) if kind == "style" else ()
    return tuple(dict.fromkeys((*training.layers, *content)))


def _new(options: Options, photos: Photos | None) -> tuple[Checkpoint, tuple[Tensor, ...]]:
    name, preset = _preset(options)
    training = dataclasses.replace(preset.training, **_asked(options, *TRAINING))
    if options.size is None:
        training = dataclasses.replace(training, size=_size(training, options.budget))
    config = dataclasses.replace(preset.generator, styles=len(options.exemplars))
    if config.styles > 1 and config.norm != "instance":
        raise RequestError(
            f"preset {name!r} learns one style, and {config.styles} pictures are given: "
            "give one picture, or leave out --preset"
        )
    descriptor = "vgg19" if options.vgg19 else "vgg16"
    layers = _described(training, options.kind)
    check_layers(descriptor, layers)
    _check_numbers(training)
    for layer in options.weights or {}:
        if layer not in training.layers:
            raise RequestError(
                f"layer {layer!r} has a weight and is not compared: add it to the layers, "
                f"{', '.join(training.layers)}"
            )
    pixels, exemplars = _read(options, training, options.crop)
    _check_styles(exemplars)
    for exemplar in exemplars:
        check_depth(exemplar, stride(descriptor, layers))
    least = SMALLEST * stride(descriptor, layers)
    training = dataclasses.replace(training, stages=stages(training, exemplars[0], least))
    if training.coarse:
        coarse = halved(pixels[0], training.octave(0))
        config = dataclasses.replace(config, waves=find_waves(coarse))
    checkpoint = Checkpoint(
        name=options.output.stem,
        preset=name,
        config=config,
        training=training,
        budget=options.budget or Budget(),
        descriptor=descriptor,
        exemplars=exemplars,
        content=photos.content if photos else None,
    )
    return _started(checkpoint, options), pixels


def _size(training: TrainingConfig, budget: Budget | None) -> int:
    """Return the longest side of the exemplar that a preset takes for a budget, pixels."""
    short = budget is not None and budget.minutes is not None and budget.minutes < SHORT
    return min(training.size, SHORT_SIZE) if training.coarse and short else training.size


def _preset(options: Options) -> tuple[str, Preset]:
    presets = PRESETS[options.kind]
    name = options.preset or next(iter(presets))
    if name not in presets:
        raise RequestError(f"there is no preset {name!r}; choose from {', '.join(presets)}")
    return name, BASE if options.collection else presets[name]


def _read(
    options: Options, training: TrainingConfig, crop: Crop | None
) -> tuple[tuple[Tensor, ...], tuple[Exemplar, ...]]:
    """Return the pixels of all exemplars and the facts about them."""
    words = _asked(options, "credit", "license")
    listed = options.collection.paintings if options.collection else {}
    read = []
    for path in options.exemplars:
        known = listed.get(path)
        own = {"credit": known.credit, "license": known.license} if known else words
        picture, facts = read_exemplar(path, size=training.size, crop=crop, **own)
        read.append((evened(picture) if training.even_light else picture, facts))
    pixels, exemplars = zip(*read, strict=True)
    return pixels, exemplars


def _check_styles(exemplars: tuple[Exemplar, ...]) -> None:
    """Raise RequestError where paintings cannot be told apart, or be cropped alike."""
    names = [exemplar.style for exemplar in exemplars]
    for name in names:
        if names.count(name) > 1:
            raise RequestError(
                f"two paintings are named {name!r}, and styles go by names: rename one"
            )
    for name in names if len(names) > 1 else ():
        if set(name) & set(",="):
            raise RequestError(f"{name!r} is no name for a style: rename it without , and =")
    if len(exemplars) > 1 and exemplars[0].crop:
        raise RequestError("--crop is for one painting: give one, or crop the files")


def _started(checkpoint: Checkpoint, options: Options) -> Checkpoint:
    """Return the run with the weights to begin with."""
    if not options.start:
        return checkpoint
    start = checkpoints.load(options.start)
    return dataclasses.replace(
        checkpoint,
        started_from=f"{start.name}, {start.steps} steps",
        weights=base.starting_weights(start, checkpoint.config, checkpoint.exemplars),
    )


def _check_numbers(training: TrainingConfig) -> None:
    """Raise RequestError where the size, the seed or a weight cannot be."""
    if not 1 <= training.size <= LARGEST_SIZE:
        raise RequestError(f"the size is {training.size} pixels: it is 1 to {LARGEST_SIZE}")
    if not 0 <= training.seed <= LARGEST_SEED:
        raise RequestError(f"the seed is {training.seed}: it is 0 to {LARGEST_SEED}")
    weights = {
        **training.weights,
        "content": training.content_weight,
        "variation": training.variation_weight,
    }
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise RequestError(f"the weight of {name} is {weight}: it is 0 or more, and finite")


def _resumed(options: Options, photos: Photos | None) -> tuple[Checkpoint, tuple[Tensor, ...]]:
    kept = checkpoints.load(options.output)
    check_agreement(options, kept)
    if kept.steps and not kept.state:
        raise RequestError(
            f"{options.output} is a base that is finished, and has no state to go on with: "
            "start from it (--from), or train another under another name"
        )
    if photos and photos.content != kept.content:
        raise CheckpointError(
            f"{options.output} was trained on {kept.content.count if kept.content else 0} other "
            "photos: give the same folder as --content, or start anew under another name"
        )
    pixels, exemplars = _read(options, kept.training, kept.crop)
    _check_same(options, kept, exemplars)
    words = _asked(options, "credit", "license")
    checkpoint = dataclasses.replace(
        kept,
        budget=options.budget or kept.budget,
        exemplars=tuple(dataclasses.replace(exemplar, **words) for exemplar in kept.exemplars),
    )
    if checkpoint.budget.progress(kept.steps, kept.seconds) >= 1 and not words:
        raise RequestError(
            f"{options.output} is finished, {kept.steps} steps in {kept.seconds / 60:.1f} minutes: "
            "for more, give larger totals (--steps or --minutes)"
        )
    return checkpoint, pixels


def _check_same(options: Options, kept: Checkpoint, exemplars: tuple[Exemplar, ...]) -> None:
    """Raise CheckpointError where the run was trained from other pictures."""
    for path, exemplar, trained in zip(options.exemplars, exemplars, kept.exemplars, strict=False):
        if exemplar.sha256 != trained.sha256:
            raise CheckpointError(
                f"{options.output} was trained from {trained.name}, and {path} is "
                "another picture: give the first, or start anew under another name"
            )
    if len(exemplars) != len(kept.exemplars):
        raise CheckpointError(
            f"{options.output} was trained from {len(kept.exemplars)} pictures, not from "
            f"{len(exemplars)}: give the same, or start anew under another name"
        )


def check_agreement(options: Options, kept: Checkpoint) -> None:
    """Raise RequestError where the options contradict a run that is there."""
    if kept.config.kind != options.kind:
        raise RequestError(
            f"{options.output} is a run of tn-train {kept.config.kind}, not of {options.kind}"
        )
    descriptor = "vgg19" if options.vgg19 else None
    pairs = {
        "--preset": (options.preset, kept.preset),
        SIZE_OPTION[options.kind]: (options.size, kept.training.size),
        "--even-light": (options.even_light, kept.training.even_light),
        "--crop": (options.crop, kept.crop),
        "--layers": (options.layers, kept.training.layers),
        "the weights in --layers": (options.weights, kept.training.weights),
        "--content-weight": (options.content_weight, kept.training.content_weight),
        "--variation-weight": (options.variation_weight, kept.training.variation_weight),
        "--seed": (options.seed, kept.training.seed),
        "--vgg19": (descriptor, kept.descriptor),
    }
    for option, (asked, trained) in pairs.items():
        if asked is not None and asked != trained:
            raise RequestError(
                f"{option} {_word(asked)} contradicts {options.output}, "
                f"which has {_word(trained)}: "
                "leave it out, or start anew under another name"
            )
    if kept.descriptor == "vgg19" and not options.vgg19:
        raise RequestError(f"{options.output} was trained with VGG-19: add --vgg19 FILE")


def _asked(options: Options, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _word(value: object) -> str:
    """Return a value as it is written on the command line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        return ",".join(f"{name}={weight:g}" for name, weight in value.items()) or "none"
    if isinstance(value, tuple):
        return ",".join(value)
    return "none" if value is None else str(value)
