"""What a style generator is trained on: photos, their content, and the statistics of paintings."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tn_train import torus
from tn_train.compilation import compiled
from tn_train.config import Stage, TrainingConfig
from tn_train.descriptor import Descriptor, fast_arithmetic
from tn_train.evaluation import (
    CALIBRATION_BATCHES,
    FLAT,
    SEED,
    calibrate,
    contrast,
    exact_convolutions,
)
from tn_train.generator import Generator
from tn_train.loop import Evaluation, Losses, Moment
from tn_train.losses import (
    DetailLoss,
    OctavesLoss,
    StylizationLoss,
    range_penalty,
    tone_loss,
    tones,
    total_variation,
)
from tn_train.pyramid import pyramid, with_noise

CONTENT_SHARE = 0.1
"""Weight of the content loss in the reported sum, as in `tn-bench gatys`; training uses
`content_weight`."""
CONTENT = f"{CONTENT_SHARE} content"
"""The name of that among the losses of the layers."""

HALF = torch.float16
"""Type of the features that are kept: VGG's activations stay below 15,000, its limit is 65,504."""
PASSES = 3
"""How often a run uses each crop. Its features are computed once, a fifth of the cost of a step."""
KEPT = 2**27
"""Size of the photos' features that are kept, in bytes."""

SHOWN = 4
"""Paintings, at most, that are evaluated and shown."""

Batches = Callable[[Stage, Iterable[int]], Iterator[Tensor]]
"""From a stage and numbers to the batches of these numbers, uint8 (N, 3, sample, sample)."""


@dataclass(frozen=True)
class Rounds:
    """The order of batches: each round takes a set of batches `PASSES` times, then come others."""

    size: int
    """Batches in a set."""

    def number(self, step: int) -> int:
        """Return the number of the batch for a step."""
        done, place = divmod(step, self.size * PASSES)
        return done * self.size + place % self.size


class Painting:
    """One painting's statistics, and how far stylised photos are from them."""

    def __init__(
        self,
        descriptor: Descriptor,
        pixels: Tensor,
        training: TrainingConfig,
        *,
        normalize_gradients: bool,
    ) -> None:
        """Measure the painting, float32 (1, 3, H, W), RGB in [0, 1], on the descriptor's device."""
        self.contrast = contrast(pixels)
        self.stylization = StylizationLoss(
            descriptor,
            pixels,
            training.layers,
            training.content_layer,
            normalize_gradients=normalize_gradients,
            weights=training.weights,
        )
        self.octaves = OctavesLoss(
            descriptor,
            pixels,
            training.octaves,
            normalize_gradients=normalize_gradients,
            weights=training.weights,
            layers=training.layers,
        )
        self.detail = DetailLoss(pixels, training.detail_weight)

    def compare(self, pictures: Tensor, target: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the loss of each style layer and octave, and that of the content."""
        style, content = self.stylization(pictures, target)
        return style | self.octaves(pictures), content


def shown(paintings: int) -> list[int]:
    """Return which of so many paintings are evaluated and shown: all, or a few evenly spread."""
    count = min(paintings, SHOWN)
    return [k * paintings // count for k in range(count)]


class StyleTask:
    """Stylises batches of photos and compares them with a painting and with themselves."""

    def __init__(
        self,
        descriptor: Descriptor,
        paintings: Sequence[Tensor],
        photos: Batches,
        held: Tensor,
        training: TrainingConfig,
    ) -> None:
        """Measure the paintings.

        Args:
            descriptor: in fp32, with the layers of the style and the content's; training takes a
                copy in what is fast on the paintings' device.
            paintings: in the order of the generator's styles, each float32 (1, 3, H, W), RGB in
                [0, 1], on the descriptor's device.
            photos: to train on.
            held: float32 (N, 3, H, W), photos to evaluate on, never trained on.
            training: how.
        """
        self.training = training
        self.device = paintings[0].device
        self.arithmetic = fast_arithmetic(self.device)
        fast = descriptor.computing(self.arithmetic)
        normalize = training.normalize_gradients
        self.paintings = [
            Painting(fast, painting, training, normalize_gradients=normalize)
            for painting in paintings
        ]
        with exact_convolutions():
            self.shown = {
                number: Painting(descriptor, paintings[number], training, normalize_gradients=False)
                for number in shown(len(paintings))
            }
            self.held_target = self.shown[0].stylization.target(self._to_device(held))
        self.held = held
        self.photos = photos
        self.due: tuple[Stage, int] | None = None
        """The stage and the step of the next batch."""
        self.batches: Iterator[Tensor] = iter(())
        self.rounds = Rounds(1)
        self.kept: dict[int, Tensor] = {}
        """Features of the photos of a round, in half precision, by the number of the batch."""
        self.forward = self._forward

    def losses(self, generator: Generator, rng: torch.Generator, moment: Moment) -> Losses:
        """Return the losses of the next batch of photos, in the style whose turn it is."""
        stage = self.training.stage(0, moment.progress)
        if (stage, moment.step) != self.due:  # or a task used twice would go on where it was
            self._begin(stage, moment.step)
        self.due = stage, moment.step + 1
        photos = self._to_device(next(self.batches).float() / 255)
        target = self._target(self.rounds.number(moment.step), photos)
        number = self._turn(moment.step)
        return self.forward(
            generator,
            self._join(generator, photos, rng),
            self._style(number, len(photos)),
            self.paintings[number],
            target,
            tones(photos),
        )

    def _turn(self, step: int) -> int:
        """Return whose turn it is: each painting has one in a round, in a new order."""
        done, place = divmod(step, len(self.paintings))
        order = np.random.default_rng((self.training.seed, done)).permutation(len(self.paintings))
        return int(order[place])

    def _style(self, number: int, pictures: int) -> Tensor:
        """Return the shares of a single style, float32 (pictures, S)."""
        shares = torch.zeros(pictures, len(self.paintings), device=self.device)
        shares[:, number] = 1
        return shares

    def _begin(self, stage: Stage, step: int) -> None:
        """Let the next batches be those of a stage, from a step on."""
        self.kept.clear()
        with torch.no_grad():
            picture = torch.zeros(1, 3, stage.sample, stage.sample, device=self.device)
            batch = stage.batch * self._features(picture).numel() * HALF.itemsize
        self.rounds = Rounds(max(1, KEPT // batch))
        self.batches = self.photos(stage, map(self.rounds.number, itertools.count(step)))

    def _target(self, number: int, photos: Tensor) -> Tensor:
        """Return the features of the batch of that number, computed at most once in a round."""
        if number not in self.kept:
            if len(self.kept) == self.rounds.size:
                self.kept.clear()
            self.kept[number] = self._features(photos).to(HALF)
        return self.kept[number]

    def _features(self, photos: Tensor) -> Tensor:
        return self.paintings[0].stylization.target(photos)

    @torch.no_grad()
    def evaluate(self, generator: Generator) -> Evaluation:
        """Measure the generator as the exported model runs: fp32, fixed noise, photos held aside.

        The loss is that of the style plus a share of the content's, the mean over a few paintings.
        """
        layers: dict[str, float] = {}
        pictures, flat = [], False
        with exact_convolutions():
            rng = torch.Generator().manual_seed(SEED)
            calibrate(generator, self._calibration(generator, rng))
            held = self._to_device(self.held)
            inputs = self._join(generator, held, rng)
            for number, painting in self.shown.items():
                painted = generator(*inputs, style=self._style(number, len(held)))
                for name, loss in _named(*painting.compare(painted, self.held_target)).items():
                    layers[name] = layers.get(name, 0.0) + loss.item() / len(self.shown)
                painted = painted.clamp(0, 1)
                # Without noise a flat photo becomes a flat picture, as it should.
                least = torch.minimum(painting.contrast, contrast(held))
                flat |= bool((contrast(painted) < FLAT * least).any())
                pictures.append(painted.cpu())
        return Evaluation(sum(layers.values()), layers, torch.cat(pictures), flat=flat)

    def _forward(
        self,
        generator: Generator,
        inputs: list[Tensor],
        style: Tensor,
        painting: Painting,
        target: Tensor,
        photos_tones: Tensor,
    ) -> Losses:
        training = self.training
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.arithmetic == "bf16"):
            pictures = generator(*inputs, style=style)
        pictures = pictures.float()
        losses, content = painting.compare(pictures, target)
        objective = training.style_weight * sum(losses.values()) + training.content_weight * content
        objective = objective + training.range_weight * range_penalty(pictures)
        if training.detail_weight:
            objective = objective + painting.detail(pictures)
        if training.tone_weight:
            objective = objective + training.tone_weight * tone_loss(pictures, photos_tones)
        if training.variation_weight:
            objective = objective + training.variation_weight * total_variation(pictures)
        return Losses(_named(losses, content), objective)

    def compile(self, generator: Generator) -> None:
        """Compile the forward and backward pass, and try them out.

        Raises:
            RequestError: that does not work here.
        """
        first = self.training.stages[0]
        photos = self._to_device(torch.rand(first.batch, 3, first.sample, first.sample))
        inputs = self._join(generator, photos, torch.Generator())
        self.forward = compiled(
            self._forward,
            generator,
            inputs,
            self._style(0, first.batch),
            self.paintings[0],
            self._features(photos).to(HALF),
            tones(photos),
        )

    def _calibration(self, generator: Generator, rng: torch.Generator) -> Iterator[list[Tensor]]:
        """Yield the pyramids of a few batches, always the same photos."""
        for photos in self._first_batches:
            yield self._join(generator, self._to_device(photos), rng)

    @cached_property
    def _first_batches(self) -> list[Tensor]:
        """Photos float32 (N, 3, sample, sample); nobody asks for them without BatchNorm."""
        batches = self.photos(self.training.stages[0], itertools.count())
        return [next(batches).float() / 255 for _ in range(CALIBRATION_BATCHES)]

    def _join(self, generator: Generator, photos: Tensor, rng: torch.Generator) -> list[Tensor]:
        """Return the pyramid of photos float32 (N, 3, H, W) and new noise."""
        batch, _, height, width = photos.shape
        z = torus.draw(generator, batch, height, width, rng)
        noises = [self._to_device(level) for level in z]
        return with_noise(pyramid(generator, photos), noises)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, memory_format=torch.channels_last)


def _named(style: dict[str, Tensor], content: Tensor) -> dict[str, Tensor]:
    return style | {CONTENT: CONTENT_SHARE * content}
