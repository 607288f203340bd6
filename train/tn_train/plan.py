"""From what a person asks for to a run that can begin: a new one, or one to go on with."""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tn_runtime.errors import CheckpointError, RequestError
from tn_train import checkpoint as checkpoints
from tn_train.checkpoint import Checkpoint
from tn_train.config import PRESETS, Budget, Crop
from tn_train.data import check_depth, read_exemplar
from tn_train.descriptor import Descriptor, check_layers, stride, vgg16, vgg19


@dataclass(frozen=True)
class Options:
    """What was asked for; None where nothing was."""

    exemplar: Path
    output: Path
    resume: bool = False
    budget: Budget | None = None
    preset: str | None = None
    size: int | None = None
    crop: Crop | None = None
    layers: tuple[str, ...] | None = None
    vgg19: Path | None = None
    seed: int | None = None
    credit: str | None = None
    license: str | None = None


def plan(options: Options) -> tuple[Checkpoint, Tensor]:
    """Return the run, and the exemplar, float32 (1, 3, H, W), RGB in [0, 1].

    Raises:
        RequestError: options that cannot be, or that contradict the run to go on with.
        CheckpointError: the run to go on with is not sound, or of another exemplar.
        PictureError: the exemplar cannot be read.
    """
    _check_output(options)
    return _resumed(options) if options.resume else _new(options)


def load_descriptor(checkpoint: Checkpoint, vgg19_file: Path | None) -> Descriptor:
    """Return the descriptor that the run is, or was, trained with, in fp32."""
    layers = checkpoint.training.layers
    return vgg19(vgg19_file, layers) if vgg19_file else vgg16(layers)


def _check_output(options: Options) -> None:
    path = options.output
    if path.suffix != ".pt" or path.is_dir():
        raise RequestError(f"{path} is no name for a checkpoint: end it in .pt")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: the folder {path.parent} does not exist, create it first")
    if path.exists() and not options.resume:
        raise RequestError(
            f"{path} exists: go on with it (--resume), choose another name, or delete it"
        )
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass  # what cannot be written at all shows now, not at the end of the training
    except OSError as error:
        raise RequestError(f"{path} cannot be written there: {error.strerror or error}") from error


def _new(options: Options) -> tuple[Checkpoint, Tensor]:
    name = options.preset or next(iter(PRESETS))
    if name not in PRESETS:
        raise RequestError(f"there is no preset {name!r}; choose from {', '.join(PRESETS)}")
    preset = PRESETS[name]
    training = dataclasses.replace(preset.training, **_asked(options, "size", "layers", "seed"))
    descriptor = "vgg19" if options.vgg19 else "vgg16"
    check_layers(descriptor, training.layers)
    pixels, exemplar = read_exemplar(
        options.exemplar,
        size=training.size,
        crop=options.crop,
        **_asked(options, "credit", "license"),
    )
    check_depth(exemplar, stride(descriptor, training.layers))
    return Checkpoint(
        name=options.output.stem,
        preset=name,
        config=preset.generator,
        training=training,
        budget=options.budget or Budget(),
        descriptor=descriptor,
        exemplar=exemplar,
    ), pixels


def _resumed(options: Options) -> tuple[Checkpoint, Tensor]:
    kept = checkpoints.load(options.output)
    _check_agreement(options, kept)
    pixels, exemplar = read_exemplar(options.exemplar, size=kept.training.size, crop=kept.crop)
    if exemplar.sha256 != kept.exemplar.sha256:
        raise CheckpointError(
            f"{options.output} was trained from {kept.exemplar.name}, and {options.exemplar} is "
            "another picture: give the first, or start anew under another name"
        )
    words = _asked(options, "credit", "license")
    checkpoint = dataclasses.replace(
        kept,
        budget=options.budget or kept.budget,
        exemplar=dataclasses.replace(kept.exemplar, **words),
    )
    if checkpoint.budget.progress(kept.steps, kept.seconds) >= 1 and not words:
        raise RequestError(
            f"{options.output} is finished, {kept.steps} steps in {kept.seconds / 60:.1f} minutes: "
            "for more, give larger totals (--steps or --minutes)"
        )
    return checkpoint, pixels


def _check_agreement(options: Options, kept: Checkpoint) -> None:
    descriptor = "vgg19" if options.vgg19 else None
    pairs = {
        "--preset": (options.preset, kept.preset),
        "--size": (options.size, kept.training.size),
        "--crop": (options.crop, kept.crop),
        "--layers": (options.layers, kept.training.layers),
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
    return ",".join(value) if isinstance(value, tuple) else str(value)
