"""How good a painting of a photo a stylised picture is, by a figure that agrees with the eye.

The losses of training do not: they rank pictures that everybody likes below photos with a tint
(benchmarks/lab/style_measures.md). Three parts do together, each from 0 to 1; the score is their
product:

    hand        which features come together as in the painting, whatever their contrast
    tones       what is light in the photo is light in the picture, what is dark is dark
    contrast    the picture has the painting's range from light to dark
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tn_bench.picture import reduced
from tn_train.descriptor import Descriptor
from tn_train.losses import LUMA

LAYERS = ("relu3_1", "relu3_3", "relu4_1")
"""Layers of the descriptor that are compared, at full size and at half."""
AT_REST = 1e-3
"""Least norm of a channel, relative to the mean of all: channels at rest count for nothing."""


@dataclass(frozen=True)
class Score:
    """Figures of one picture, each from 0, the worst, to 1."""

    hand: float
    """1 is the painting's own statistics, 0 the photo's."""
    tones: float
    """Rank correlation of picture and photo, in luma at a quarter of the size; 0 if negative."""
    contrast: float
    """Standard deviation of the picture's luma over the painting's, 1 at most."""

    @property
    def total(self) -> float:
        """The product of all."""
        return self.hand * self.tones * self.contrast


class Stylization:
    """Compares stylised photos with one painting."""

    def __init__(self, descriptor: Descriptor, painting: Tensor) -> None:
        """Measure the painting.

        Args:
            descriptor: in fp32, with the layers `LAYERS`.
            painting: float32 (3, H, W), RGB in [0, 1].
        """
        self.descriptor = descriptor
        self.targets = self._correlations(painting)
        self.contrast = luma(painting).std()

    @torch.no_grad()
    def __call__(self, picture: Tensor, photo: Tensor) -> Score:
        """Return the figures of a picture of a photo, both float32 (3, H, W), RGB in [0, 1]."""
        contrast = luma(picture).std() / self.contrast
        return Score(
            hand=max(0.0, 1 - self._distance(picture) / self._distance(photo)),
            tones=max(0.0, _rank_correlation(*(_quarter(each) for each in (picture, photo)))),
            contrast=min(1.0, contrast.item()),
        )

    def _distance(self, picture: Tensor) -> float:
        """Return the mean relative squared distance of correlations from the painting's."""
        found = self._correlations(picture)
        pairs = zip(found, self.targets, strict=True)
        distances = [(a - b).square().sum() / b.square().sum() for a, b in pairs]
        return torch.stack(distances).mean().item()

    @torch.no_grad()
    def _correlations(self, picture: Tensor) -> list[Tensor]:
        sizes = (picture, reduced(picture))
        features = [self.descriptor(each[None]) for each in sizes]
        return [_correlation(each[name][0]) for each in features for name in LAYERS]


def luma(picture: Tensor) -> Tensor:
    """Return (H, W) of (3, H, W)."""
    return torch.einsum("c,chw->hw", torch.tensor(LUMA), picture)


def _correlation(features: Tensor) -> Tensor:
    """Return the correlations of different channels, (C, C) with a diagonal of 0, of (C, H, W)."""
    pixels = features.flatten(1)
    pixels = pixels - pixels.mean(dim=1, keepdim=True)
    norms = pixels.norm(dim=1, keepdim=True)
    pixels = pixels / (norms + AT_REST * norms.mean() + 1e-12)
    correlations: Tensor = pixels @ pixels.T
    return correlations.fill_diagonal_(0)


def _quarter(picture: Tensor) -> Tensor:
    return luma(reduced(reduced(picture)))


def _rank_correlation(first: Tensor, second: Tensor) -> float:
    """Return Spearman's correlation of two pictures (H, W)."""
    ranks = [each.flatten().argsort().argsort().float() for each in (first, second)]
    return torch.corrcoef(torch.stack(ranks))[0, 1].item()
