"""How near pictures come to an exemplar, by measures that see different things.

    features    statistics of a descriptor, on layers that training uses and on others
    patches     7x7 patches of a pyramid, no network
    repetition  what recurs and should not
    seam        of a picture laid side by side with itself
    diversity   of several samples among one another

A figure alone says little; each stands beside its floor, the same measure between halves of the
exemplar, and, where one is given, beside that of Gatys' picture. No measure replaces looking:
`benchmarks/lab/measures.md` compares them with the eye.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from tn_bench.measures.diversity import diversity
from tn_bench.measures.features import FeatureDistance
from tn_bench.measures.patches import PatchDistance, smallest_side
from tn_bench.measures.repetition import Repetition, period
from tn_bench.measures.seam import seam_ratio, usual_ratio
from tn_bench.picture import halves, to_tensor
from tn_runtime.errors import RequestError
from tn_runtime.pixels import Pixels
from tn_train.config import TrainingConfig
from tn_train.descriptor import Descriptor, vgg16

Measure = Callable[[Tensor], dict[str, float]]
"""Measures a picture float32 (3, H, W), RGB in [0, 1], against the exemplar it was made with."""

STEERING = "marginals relu4_3"
"""The one that agrees best with the eye (benchmarks/lab/measures.md); it is blind to pixel noise,
which "patches 1x" sees."""

SUMMARY = (
    STEERING,
    "style, trained layers",
    "style, trained layers at 1/2",
    "style, unseen layers",
    "style, unseen layers at 1/2",
    "marginals, unseen layers",
    "marginals, unseen layers at 1/2",
    "patches",
    "patches 1x",
    "patches 2x",
    "patches 4x",
    "patches 8x",
    "repetition",
    "seam",
)
"""What is shown of the measures, unless all are asked for."""


@dataclass(frozen=True)
class Settings:
    """What the measures look at."""

    trained: tuple[str, ...] = TrainingConfig().layers
    unseen: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    """The last layer of each block; 4_3 is the deepest that the packaged VGG-16 has."""
    levels: int = 4
    """Levels of the pyramid of patches."""

    @property
    def smallest(self) -> int:
        """Least side of the exemplar, of which halves are measured; pictures may have half."""
        return 2 * smallest_side(self.levels)


@dataclass(frozen=True)
class Row:
    """One measure; smaller is nearer to the exemplar."""

    name: str
    floor: float
    """Between halves of the exemplar; of the seam, the largest step within the exemplar that is
    still usual."""
    gatys: float | None
    pictures: tuple[float, ...]


@dataclass(frozen=True)
class Quality:
    """What the measures say."""

    rows: tuple[Row, ...]
    diversity: dict[str, float]
    """Diversity of the pictures, in pixels and in features, 1: as parts of the exemplar.
    Empty where there is one picture only, or the exemplar repeats itself."""
    period: tuple[int, int] | None
    """The shift (y, x) by which the exemplar repeats itself. If it does, its halves are one and the
    same, and floors are too low."""


def measure(
    exemplar: Pixels,
    pictures: Sequence[Pixels],
    gatys: Pixels | None = None,
    settings: Settings = Settings(),
    descriptor: Callable[[Sequence[str]], Descriptor] = vgg16,
) -> Quality:
    """Measure pictures against their exemplar.

    Args:
        exemplar: uint8 (H, W, 3), at the resolution of training.
        pictures: the same, of any sizes; where they are samples of one generator, their diversity
            means something.
        gatys: the picture that optimisation makes of the exemplar, to compare with.
        settings: what to look at.
        descriptor: makes one with the layers asked for.

    Raises:
        RequestError: a picture is too small for the measures.
    """
    pictures = [*pictures, *([gatys] if gatys is not None else [])]
    _check_sizes(exemplar, pictures, settings)
    model = descriptor(sorted({*settings.trained, *settings.unseen}))
    target, samples = to_tensor(exemplar), [to_tensor(picture) for picture in pictures]

    floor = _floor(target, model, settings)
    measures = _measures(target, model, settings)
    values = [{k: v for each in measures for k, v in each(sample).items()} for sample in samples]
    given = len(pictures) if gatys is None else len(pictures) - 1
    rows = tuple(
        Row(
            name,
            floor[name],
            None if gatys is None else values[-1][name],
            tuple(each[name] for each in values[:given]),
        )
        for name in floor
    )
    repeats = period(target)
    among = {} if repeats else _diversity(samples[:given], target, model, settings)
    return Quality(rows, among, repeats)


def _measures(exemplar: Tensor, descriptor: Descriptor, settings: Settings) -> list[Measure]:
    trained, unseen = settings.trained, settings.unseen
    return [
        FeatureDistance(descriptor, exemplar, trained, unseen, half=False),
        FeatureDistance(descriptor, exemplar, trained, unseen, half=True),
        PatchDistance(exemplar, settings.levels),
        Repetition(exemplar),
        lambda picture: {"seam": seam_ratio(picture)},
    ]


def _floor(exemplar: Tensor, descriptor: Descriptor, settings: Settings) -> dict[str, float]:
    """Return each measure between halves of the exemplar: top and bottom, left and right."""
    found = []
    for first, second in halves(exemplar):
        for one, other in ((first, second), (second, first)):
            measures = _measures(one, descriptor, settings)
            found.append({k: v for each in measures for k, v in each(other).items()})
    floor = {name: mean(each[name] for each in found) for name in found[0]}
    return {**floor, "seam": usual_ratio(exemplar)}


def _diversity(
    samples: Sequence[Tensor], exemplar: Tensor, descriptor: Descriptor, settings: Settings
) -> dict[str, float]:
    if len(samples) < 2:
        return {}
    layer = settings.unseen[len(settings.unseen) // 2]

    @torch.no_grad()
    def features(picture: Tensor) -> Tensor:
        described: dict[str, Tensor] = descriptor(picture[None])
        return described[layer][0]

    return {
        "pixels": diversity(samples, exemplar),
        "features": diversity([features(sample) for sample in samples], features(exemplar)),
    }


def _check_sizes(exemplar: Pixels, pictures: Sequence[Pixels], settings: Settings) -> None:
    least = settings.smallest
    if min(exemplar.shape[:2]) < least:
        height, width, _ = exemplar.shape
        raise RequestError(
            f"the exemplar is {width}x{height}; to measure halves of it, it must be at least "
            f"{least}x{least}"
        )
    for picture in pictures:
        height, width, _ = picture.shape
        if min(height, width) < least // 2:
            raise RequestError(
                f"a picture is {width}x{height}; the measures need at least {least // 2}x"
                f"{least // 2}: make a larger one"
            )
