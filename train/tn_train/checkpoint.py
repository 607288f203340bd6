"""Checkpoints: a training run as a file, to export from or to go on with.

The file is `torch.save` of plain values and tensors, read with `weights_only=True`: loading one
executes no code, whoever made it.
"""

import dataclasses
import io
import itertools
import math
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tn_runtime.errors import CheckpointError, RequestError
from tn_runtime.files import atomic
from tn_runtime.schema import build
from tn_runtime.spec import Exemplar
from tn_train.config import LARGEST_SEED, Budget, Crop, GeneratorConfig, TrainingConfig
from tn_train.generator import Generator
from tn_train.photos import Content
from tn_train.refinement import whole

FORMAT = 1
MARK = "texture_networks_checkpoint"
"""The key of the format number, by which a file says what it is."""


@dataclass(frozen=True)
class Record:
    """One evaluation of a run: fixed noise, fixed BatchNorm statistics."""

    step: int
    seconds: float
    loss: float
    layers: dict[str, float]
    """Their sum is `loss`."""
    fine: int = 0
    """Fine levels of the generator: losses of different numbers cannot be compared."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything about a run: what it is made from, how far it came, and how to go on.

    With the defaults it is a run that has not begun.
    """

    name: str
    preset: str
    config: GeneratorConfig
    """Of `weights`; the run may go on with more fine levels."""
    training: TrainingConfig
    budget: Budget
    descriptor: str
    exemplars: tuple[Exemplar, ...]
    """One; of styles, the paintings in their order."""
    content: Content | None = None
    """For style, what was stylised in training."""
    started_from: str = ""
    """What the run began with; empty where it began with nothing."""
    arithmetic: str = ""
    """How the descriptor computed in the last part of the run; see `descriptor.Arithmetic`."""
    steps: int = 0
    seconds: float = 0.0
    """Spent in training, evaluation included."""
    loss: float = float("inf")
    """Loss of `weights`: the sum over the layers, fixed noise, fixed BatchNorm statistics.

    Infinite until a first evaluation.
    """
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the last evaluation, a state dict of the generator, on the CPU; of a run that has
    not begun, those to begin with, if any."""
    state: dict[str, Any] = field(default_factory=dict)
    """What `tn_train.loop.Run` needs to go on."""
    history: tuple[Record, ...] = ()
    """The first is of the untrained generator."""

    @property
    def crop(self) -> Crop | None:
        """The part of the picture's file that is learned from, None for all of it."""
        crop = self.exemplars[0].crop
        return Crop.parse(crop) if crop else None

    def generator(self) -> Generator:
        """Return the generator with the weights that are kept, as one, in eval mode, on the CPU.

        Raises:
            CheckpointError: the run has made nothing worth keeping yet; the weights do not fit the
                configuration, or are not finite.
        """
        if not math.isfinite(self.loss):
            raise CheckpointError(
                f"checkpoint {self.name!r} stopped at step {self.steps}, before anything worth "
                "keeping was made: go on with it (tn-train --resume)"
            )
        return whole(_rebuild(self))


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    values = {each.name: getattr(checkpoint, each.name) for each in dataclasses.fields(checkpoint)}
    for name in ("config", "training", "budget", "content"):
        if values[name] is not None:
            values[name] = dataclasses.asdict(values[name])
    for name in ("exemplars", "history"):
        values[name] = [dataclasses.asdict(each) for each in values[name]]
    data = io.BytesIO()
    torch.save({MARK: FORMAT, **values}, data)  # to a full disk it would raise a RuntimeError
    with atomic(path) as temporary:
        temporary.write_bytes(data.getbuffer())


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a file; its tensors arrive on the CPU.

    Raises:
        CheckpointError: not there, not a checkpoint of this project, damaged, or of a later format.
    """
    data = _read(Path(path))
    number = data.get(MARK) if isinstance(data, dict) else None
    if not isinstance(number, int):
        raise CheckpointError(f"{path} is not a checkpoint of tn-train")
    if number > FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {number}, this version reads up to {FORMAT}: "
            "pip install --upgrade texture-networks"
        )
    try:
        checkpoint = _build(data)
    except (ValueError, RequestError) as error:
        raise CheckpointError(f"{path} is not a sound checkpoint of tn-train ({error})") from error
    _rebuild(checkpoint)  # raises where weights and configuration disagree
    return checkpoint


def _read(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory, name a checkpoint of tn-train")
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; tn-train makes checkpoints")
    if not path.is_file():
        raise CheckpointError(f"{path} is no regular file, name a checkpoint of tn-train")
    # torch.save writes a zip archive. Torch's older format, which is a bare pickle, is left out.
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is not a checkpoint of tn-train, or it is cut off")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not compare the checksums
        if damaged:
            raise CheckpointError(f"{path} is damaged, in {damaged}: take a copy, or train anew")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, CheckpointError):
        raise
    except Exception as error:  # torch documents no set of errors for damaged or evil archives
        raise CheckpointError(
            f"{path} is not a checkpoint of tn-train, or it is damaged ({type(error).__name__})"
        ) from error


def _build(data: dict[str, Any]) -> Checkpoint:
    for each in dataclasses.fields(Checkpoint):
        if each.name not in data:  # also where a run that has not begun has a default
            raise ValueError(f"{each.name!r} is missing")
    checkpoint = build(Checkpoint, data)
    _check(checkpoint)
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    """Raise ValueError, or RequestError for the crop, where values of the right type cannot be."""
    config, training, budget = checkpoint.config, checkpoint.training, checkpoint.budget
    octaves = [stage.octave for stage in training.stages] or [0]
    stride = config.stride << max(octaves[0] - config.fine, 0)  # of the network with all its levels
    if len(checkpoint.exemplars) != config.styles:
        raise ValueError(f"it has {len(checkpoint.exemplars)} exemplars and {config.styles} styles")
    sound = {
        "config.noise_channels": config.noise_channels >= (0 if config.kind == "style" else 1),
        "config.styles": config.styles >= 1 and (config.norm == "instance" or config.styles == 1),
        "config.slope": 0 <= config.slope < 1,
        "config.waves": not config.waves or config.kind == "texture",
        "config.wave_level": config.wave_level >= 1,
        "config.fine": 0 <= config.fine < config.levels and config.fine <= octaves[0],
        "training.size": training.size >= 1,
        "training.coarse": training.coarse >= 0,
        "training.stages": len(training.stages) > 0,
        "training.stages.share": all(stage.share > 0 for stage in training.stages),
        "training.stages.sample": all(
            stage.sample >= 1
            and stage.octave >= 0
            and not stage.sample % (stride >> stage.octave or 1)
            for stage in training.stages
        ),
        "training.stages.batch": all(stage.batch >= 1 for stage in training.stages),
        "training.stages.octave": octaves[-1] == 0
        and all(0 <= coarse - fine <= 1 for coarse, fine in itertools.pairwise(octaves)),
        "training.averaging": 0 <= training.averaging < 1,
        "training.learning_rate": 0 < training.learning_rate < math.inf,
        "training.layers": len(training.layers) > 0,
        "training.octaves": training.octaves >= 1,
        "training.detail_weight": 0 <= training.detail_weight < math.inf,
        "training.grid_weight": 0 <= training.grid_weight < math.inf,
        "training.tie_weight": 0 <= training.tie_weight < math.inf,
        "training.lattice_weight": 0 <= training.lattice_weight < math.inf,
        "training.weights": all(0 <= each < math.inf for each in training.weights.values()),
        "training.style_weight": 0 <= training.style_weight < math.inf,
        "training.content_weight": 0 <= training.content_weight < math.inf,
        "training.tone_weight": 0 <= training.tone_weight < math.inf,
        "training.variation_weight": 0 <= training.variation_weight < math.inf,
        "content": (checkpoint.content is None) == (config.kind == "texture"),
        "training.range_weight": 0 <= training.range_weight < math.inf,
        "training.seed": 0 <= training.seed <= LARGEST_SEED,
        "budget.steps": budget.steps is None or budget.steps >= 1,
        "budget.minutes": budget.minutes is None or 0 < budget.minutes < math.inf,
        "exemplars.crop": str(checkpoint.crop or "") == checkpoint.exemplars[0].crop,
        "steps": checkpoint.steps >= 0,
        "seconds": 0 <= checkpoint.seconds < math.inf,
    }
    for name, is_sound in sound.items():
        if not is_sound:
            raise ValueError(f"{name!r} is not valid")


def _rebuild(checkpoint: Checkpoint) -> Generator:
    name, weights = checkpoint.name, checkpoint.weights
    if not all(torch.isfinite(weight).all() for weight in weights.values()):
        raise CheckpointError(f"checkpoint {name!r} has weights that are not finite")
    try:
        with torch.device("meta"):  # shapes are compared before any memory is taken
            generator = Generator(checkpoint.config)
        generator.load_state_dict(weights, assign=True)
        generator.float()  # a base is kept in half precision
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"checkpoint {name!r} contradicts itself: its weights do not fit {checkpoint.config}"
        ) from error
    return generator.eval()
