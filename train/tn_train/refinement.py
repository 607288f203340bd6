"""A fine level: it doubles the size of a trained network's pictures, and learns alone.

The levels of a preset learn from the exemplar as it is when it has been halved a few times. Then
one level at a time is added on top, and learns from the exemplar of twice that size:

stages           which octave of the exemplar a run learns from, and when
beginning        the network that a run begins with
with_fine_level  a trained generator -> one with a level more, which alone is trained
halved           an exemplar -> the same, halved a few times
tie_loss         how far pictures are from those of the coarser levels, seen from afar
whole            a generator with fine levels -> the same as one network

All coarser levels are fixed, their BatchNorm statistics, too. They are cheap: a step costs about as
much as one of the preset's own. What a step makes is a small part of the exemplar, so it is a
window of the endless plane, not a torus.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tn_runtime.spec import Exemplar
from tn_train.config import GeneratorConfig, Stage, TrainingConfig
from tn_train.generator import Generator

COARSE_SHARE = 0.6
"""Share of a run in which the preset's own levels learn."""
SAMPLE, BATCH = 256, 1
"""Windows of a step of a fine level: their side, pixels of their octave, and how many."""
MOST = 4
"""Fine levels at most: the stride of a fifth would be larger than a window."""
TIE_SCALE = 8
"""Side of the blocks, pixels, whose mean colour is tied. Blocks of 2 leave a fine level only what
is zero on average under each coarse pixel: a halftone (benchmarks/lab/fullres.md)."""


def stages(training: TrainingConfig, exemplar: Exemplar, least: int) -> tuple[Stage, ...]:
    """Return the stages of a run: those of the training, where it needs no fine level.

    Args:
        training: how the network's own levels learn.
        exemplar: at the resolution of training.
        least: side of the smallest exemplar that the descriptor can describe, pixels.
    """
    sides = exemplar.width, exemplar.height
    wanted = round(math.log2(max(sides) / training.coarse)) if training.coarse else 0
    octaves = min(wanted, int(math.log2(min(sides) / least)), MOST)
    if octaves <= 0:
        return training.stages
    coarse = (
        dataclasses.replace(stage, share=COARSE_SHARE * stage.share, octave=octaves)
        for stage in training.stages
    )
    share = (1 - COARSE_SHARE) / octaves
    fine = (Stage(share, SAMPLE, BATCH, octave) for octave in reversed(range(octaves)))
    return (*coarse, *fine)


def beginning(config: GeneratorConfig, training: TrainingConfig) -> GeneratorConfig:
    """Return what a run begins with that ends with such a network, as one."""
    octave = training.stages[0].octave
    widths, wave_level = config.widths[octave:], config.wave_level - octave
    smooth = max(config.smooth - octave, 0)
    return dataclasses.replace(config, widths=widths, smooth=smooth, wave_level=wave_level)


def with_fine_level(coarse: Generator) -> Generator:
    """Return a generator with one more level, untrained; all others are copies, and fixed."""
    config = coarse.config
    widths = (config.branch, *config.widths)
    fine, wave_level = config.fine + 1, config.wave_level + 1
    smooth = config.smooth + 1
    finer = dataclasses.replace(
        config, widths=widths, fine=fine, smooth=smooth, wave_level=wave_level
    )
    generator = Generator(finer)
    pairs = (
        (generator.coarsest, coarse.coarsest),
        (generator.coarse_to_rgb, coarse.to_rgb),
        *zip(generator.branches[1:], coarse.branches, strict=True),
        *zip(generator.joins[1:], coarse.joins, strict=True),
    )
    for copy, trained in pairs:
        copy.load_state_dict(trained.state_dict())
    return generator


def halved(exemplar: Tensor, octave: int) -> Tensor:
    """Return an exemplar (1, 3, H, W) after so many halvings."""
    return F.avg_pool2d(exemplar, 2**octave)


def tie_loss(pictures: Tensor, coarse: Tensor) -> Tensor:
    """Return the mean squared difference of two pictures' block means.

    Args:
        pictures: float32 (N, 3, H, W); H and W are multiples of TIE_SCALE.
        coarse: float32 (N, 3, H / 2, W / 2), of the same place; clamped to [0, 1] first.
    """
    means = F.avg_pool2d(pictures, TIE_SCALE)
    return F.mse_loss(means, F.avg_pool2d(coarse.clamp(0, 1), TIE_SCALE // 2))


def whole(generator: Generator) -> Generator:
    """Return the same network without what only the training of a fine level needs."""
    if not generator.config.fine:
        return generator
    weights = generator.state_dict()
    for name in generator.coarse_to_rgb.state_dict():
        del weights[f"coarse_to_rgb.{name}"]
    with torch.device("meta"):
        plain = Generator(dataclasses.replace(generator.config, fine=0))
    plain.load_state_dict(weights, assign=True)
    return plain.train(generator.training)
