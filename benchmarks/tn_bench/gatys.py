"""The baseline: textures and styles by optimising the pixels themselves.

Gatys, Ecker and Bethge: "Texture Synthesis Using Convolutional Neural Networks" (2015) and "Image
Style Transfer Using Convolutional Neural Networks" (2016). Descriptor, layers and losses are those
of training, so that "time to equal loss" compares one loss with itself. Where this departs from
Gatys et al.:

* the descriptor is VGG-16 (or the VGG-19 of torchvision) as it was trained, its activations not
  rescaled to a mean of 1, with max pooling unless `average` is asked for, and the border repeated;
* layers relu1_1 ... relu4_1 in place of conv1_1, pool1 ... pool4;
* each layer's loss is relative, mean((G - G0)^2) / mean(G0^2), and so is the content loss;
* the range of pixels is a penalty in place of the bounds of L-BFGS-B, which torch does not have;
* no histogram matching afterwards.
"""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tn_bench.config import GATYS, Settings
from tn_runtime.errors import TrainingError
from tn_train.descriptor import Descriptor
from tn_train.interrupt import Interrupted, deferred
from tn_train.losses import (
    StyleLoss,
    content_loss,
    gram_matrix,
    range_penalty,
    total_variation,
)
from tn_train.refinement import halved

Init = Literal["noise", "content"]

CONTENT_LAYER = "relu4_2"
"""Gatys et al. (2016), section 3; the authors of the paper take it, too."""
HISTORY = 20
"""Steps that L-BFGS remembers: DeepTextures has m=20."""
COARSEST = 256
"""Longest side of the smallest picture from coarse to fine, pixels, about."""
LEAST, LAST, GAIN = 100, 20, 0.01
"""A size ends when the last 20 evaluations lower the total by less than 1%, after 100 at least."""
NOISE = 0.1
"""Standard deviation of the noise to start from, around the exemplar's mean colour."""


@dataclass(frozen=True)
class Record:
    """One evaluation of loss and gradient."""

    evaluations: int
    """Up to and with this one."""
    seconds: float
    """Since the start of the optimisation."""
    loss: float
    """The sum over the style layers, which is what training reports."""
    total: float
    """What is minimised: the weighted content loss, variation and range included."""


BEGIN = Record(0, 0.0, 0.0, 0.0)
"""Stands for what was done before the first evaluation."""


@dataclass
class Result:
    """A picture, and the way to it."""

    picture: Tensor
    """float32 (1, 3, H, W), RGB in [0, 1]: that of the lowest total so far, clamped."""
    records: list[Record] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Loss of the style layers, where the total was lowest, before clamping."""
        return min(self.records, key=lambda record: record.total).loss

    def time_to(self, loss: float) -> Record | None:
        """Return the first record with a style loss as low as this, None if there is none."""
        return next((record for record in self.records if record.loss <= loss), None)


class _Enough(Exception):  # noqa: N818 - no error
    """As many evaluations are done as were asked for."""


class Objective(nn.Module):
    """The function of the pixels that is minimised."""

    def __init__(
        self, descriptor: Descriptor, exemplar: Tensor, content: Tensor | None, settings: Settings
    ) -> None:
        """Measure exemplar and content, float32 (1, 3, H, W), RGB in [0, 1], of any two sizes.

        With content the descriptor must have CONTENT_LAYER; the other layers are the style's.
        """
        super().__init__()
        self.descriptor = descriptor
        self.settings = settings
        self.content: Tensor | None = None
        with torch.no_grad():
            features = descriptor(exemplar)
            if content is not None:
                features.pop(CONTENT_LAYER)
                self.content = descriptor(content)[CONTENT_LAYER]
        self.style = nn.ModuleDict(
            {
                name: StyleLoss(gram_matrix(feature), normalize_gradients=False)
                for name, feature in features.items()
            }
        )

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return (style loss, total), scalars, of a picture float32 (1, 3, H, W)."""
        features = self.descriptor(picture)
        style = torch.stack([loss(features[name]) for name, loss in self.style.items()]).sum()
        total = style + self.settings.range_weight * range_penalty(picture)
        if self.content is not None:
            content = content_loss(features[CONTENT_LAYER], self.content)
            total = total + self.settings.content_weight * content
        if self.settings.variation_weight:
            total = total + self.settings.variation_weight * total_variation(picture)
        return style, total


def synthesize(
    descriptor: Descriptor,
    exemplar: Tensor,
    size: tuple[int, int] | None = None,
    settings: Settings = GATYS,
    report: Callable[[Result], None] | None = None,
) -> Result:
    """Make a texture like the exemplar from noise (2015).

    Args:
        descriptor: its layers are those of the style loss; on the exemplar's device.
        exemplar: float32 (1, 3, H, W), RGB in [0, 1].
        size: (height, width) of the picture, pixels; the exemplar's without it.
        settings: how.
        report: called after every evaluation with the result so far; it may raise Interrupted.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C was pressed; `report` has seen the last result.
    """
    start = noise(exemplar, size or exemplar.shape[-2:], settings.seed)
    return optimize(Objective(descriptor, exemplar, None, settings), start, settings.steps, report)


def synthesize_in_octaves(
    descriptor: Descriptor,
    exemplar: Tensor,
    settings: Settings = GATYS,
    report: Callable[[Result], None] | None = None,
) -> Result:
    """Make a texture as large as the exemplar from coarse to fine.

    The exemplar is halved until it has about `COARSEST` pixels. A texture like it is made from
    noise; enlarged to twice its size it is the start of the next, and so on (Snelgrove 2017,
    Gonthier et al. 2022). Each size ends after `settings.steps` evaluations, or sooner where more
    of them bring next to nothing, see `_settled`.

    Args:
        descriptor: its layers are those of the style loss; on the exemplar's device.
        exemplar: float32 (1, 3, H, W), RGB in [0, 1].
        settings: how.
        report: as for `synthesize`.

    Returns:
        The last and largest picture. Its records are of its own size; their evaluations and seconds
        count from the start of the first.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C was pressed; `report` has seen the last result.
    """
    octaves = octaves_of(exemplar)
    result = Result(exemplar)
    for octave in reversed(range(octaves + 1)):
        reduced = halved(exemplar, octave)
        sides = reduced.shape[-2:]
        if octave == octaves:
            start = noise(reduced, sides, settings.seed)
        else:
            start = F.interpolate(result.picture, sides, mode="bicubic")
        objective = Objective(descriptor, reduced, None, settings)
        done = result.records[-1] if result.records else BEGIN
        result = optimize(objective, start, settings.steps, report, done, _settled)
    return result


def octaves_of(exemplar: Tensor) -> int:
    """Return how often an exemplar is halved from coarse to fine."""
    return max(0, round(math.log2(max(exemplar.shape[-2:]) / COARSEST)))


def _settled(records: list[Record]) -> bool:
    """Tell whether the last evaluations lowered the total by next to nothing."""
    if len(records) < LEAST:
        return False
    before, now = (min(each.total for each in records[:end]) for end in (-LAST, len(records)))
    return now > (1 - GAIN) * before


def stylize(
    descriptor: Descriptor,
    exemplar: Tensor,
    content: Tensor,
    init: Init = "content",
    settings: Settings = GATYS,
    report: Callable[[Result], None] | None = None,
) -> Result:
    """Paint the content in the exemplar's style (2016).

    Args:
        descriptor: its layers are those of the style loss, and CONTENT_LAYER.
        exemplar: float32 (1, 3, H, W), RGB in [0, 1].
        content: the same, of another size if need be; the picture has its size.
        init: start from the content, as their notebook does, or from noise, as their paper does.
        settings: how.
        report: as for `synthesize`.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C was pressed; `report` has seen the last result.
    """
    objective = Objective(descriptor, exemplar, content, settings)
    start = content if init == "content" else noise(exemplar, content.shape[-2:], settings.seed)
    return optimize(objective, start, settings.steps, report)


def noise(exemplar: Tensor, size: tuple[int, ...], seed: int) -> Tensor:
    """Return Gaussian noise around the exemplar's mean colour, float32 (1, 3, *size)."""
    rng = torch.Generator().manual_seed(seed)  # on the CPU, so that one seed means one noise
    mean = exemplar.mean(dim=(-2, -1), keepdim=True)
    return mean + NOISE * torch.randn(1, 3, *size, generator=rng).to(exemplar.device)


def optimize(
    objective: Objective,
    start: Tensor,
    steps: int,
    report: Callable[[Result], None] | None = None,
    done: Record = BEGIN,
    settled: Callable[[list[Record]], bool] | None = None,
) -> Result:
    """Minimise the objective over the pixels by L-BFGS with a strong Wolfe line search.

    Args:
        objective: picture to (style loss, total).
        start: float32 (1, 3, H, W).
        steps: evaluations at most; it ends sooner where no step lowers the total any more.
        report: as for `synthesize`.
        done: the last record of what was done before; the records go on from there.
        settled: tells from the records that more steps are not worth their time.
    """
    picture = start.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    result = Result(start.clamp(0, 1))
    lowest = math.inf
    lbfgs = torch.optim.LBFGS(
        [picture],
        max_iter=steps,
        max_eval=2 * steps,
        tolerance_grad=0,
        tolerance_change=0,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )
    begin = time.perf_counter()

    def evaluate() -> Tensor:
        nonlocal lowest
        style, total = objective(picture)
        (gradient,) = torch.autograd.grad(total, picture)
        # L-BFGS flattens it with `view`, and the descriptor hands back channels_last.
        picture.grad = gradient.contiguous()
        if not math.isfinite(value := total.item()):
            raise TrainingError(
                f"the loss is {value} after {len(result.records)} evaluations: "
                "take smaller weights, or other layers"
            )
        seconds = done.seconds + time.perf_counter() - begin
        number = done.evaluations + len(result.records) + 1
        result.records.append(Record(number, seconds, style.item(), value))
        if value < lowest:
            lowest = value
            result.picture = picture.detach().clamp(0, 1)
        if report:
            report(result)
        if interrupted():
            raise Interrupted
        if len(result.records) == steps or (settled and settled(result.records)):
            raise _Enough  # L-BFGS itself looks at the number between line searches only
        detached: Tensor = total.detach()
        return detached

    with deferred() as interrupted, suppress(_Enough):
        lbfgs.step(evaluate)  # type: ignore[no-untyped-call]
    return result
