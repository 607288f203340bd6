"""Common parts of all evaluations, which measure what the exported model will do."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tn_train.generator import Generator

SEED = 2016
"""The same for all runs, so that their losses can be compared."""
CALIBRATION_BATCHES = 8
"""With fewer batches the loss depends on chance: the same weights and samples (dead_leaves) had
0.45 by the statistics of one draw of two batches of 2 x 128 px, 0.32 by those of three others, and
0.31 to 0.33 by those of eight of 256 px."""

FLAT = 0.05
"""Pictures with less contrast than this, relative to what they are learned from, are called
flat."""


@torch.no_grad()
def calibrate(generator: Generator, batches: Iterable[Sequence[Tensor]]) -> None:
    """Set the BatchNorm statistics to those of the present weights; leave it in eval mode.

    The running means lag behind while the weights move fast, so this wins clearly early on: in one
    run on dead_leaves (8 x 128 px, 180 steps) the loss in eval mode was 1.47 with running means and
    0.22 with fresh ones at step 30, 0.155 and 0.080 at step 90. At the end, where steps are small,
    it brought nothing: 0.082 and 0.083. It is kept so that evaluations on the way, previews and
    interrupted runs can be trusted.

    Args:
        generator: its fixed parts are left alone; with instance normalisation alone it has nothing
            to set, and is not run.
        batches: pyramids, as for `Generator.forward`.
    """
    generator.train()
    norms = [
        each for each in generator.modules() if isinstance(each, nn.BatchNorm2d) and each.training
    ]
    if norms:
        with _fresh_statistics(norms):
            for batch in batches:
                generator(*batch)
    generator.eval()


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let cuDNN compute fp32 convolutions in fp32, which is not its default."""
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # not annotated
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before


@contextmanager
def _fresh_statistics(norms: list[nn.BatchNorm2d]) -> Iterator[None]:
    """Let every BatchNorm average its statistics anew, over the batches of the body."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def contrast(pictures: Tensor) -> Tensor:
    """Return each picture's standard deviation in its strongest channel, (N,) of (N, C, H, W)."""
    return pictures.std(dim=(-2, -1)).amax(dim=-1)
