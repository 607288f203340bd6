"""The task of textures: samples from noise against the exemplar's statistics."""

import dataclasses

import torch
from torch import Tensor

from tn_train.compilation import compiled
from tn_train.config import Stage, TrainingConfig, Wave
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
from tn_train.lattice import LatticeLoss
from tn_train.loop import Evaluation, Losses, Moment
from tn_train.losses import DetailLoss, OctavesLoss, TextureLoss, grid_penalty, range_penalty
from tn_train.refinement import halved, tie_loss
from tn_train.sampling import Sample, draw
from tn_train.waves import JITTER

LARGEST = 512
"""Side of the sample for evaluation, pixels; twice the exemplar's where that is less. The loss of
smaller samples rose in runs whose pictures became better (benchmarks/lab/recipe.md)."""


class Comparison:
    """An exemplar at one octave, measured: what samples are compared with."""

    def __init__(
        self, descriptor: Descriptor, exemplar: Tensor, training: TrainingConfig, octave: int
    ) -> None:
        """Measure the exemplar, halved so often; the rest is as for `TextureTask`."""
        exemplar = halved(exemplar, octave)
        # A fine level is tied to the coarser picture: coarser octaves need no loss of their own.
        octaves = training.octaves if octave == training.octave(0) else 1
        # Generator and descriptor: bf16 takes about 0.6 of the generator's time, and the one run
        # that was compared (180 steps on dead_leaves) ended level, at 0.082 against 0.083. Weights
        # and optimiser stay fp32, and so does evaluation: what is kept as a run's loss must not
        # depend on the machine.
        self.arithmetic = fast_arithmetic(exemplar.device)
        with exact_convolutions():
            self.exact = TextureLoss(descriptor, exemplar, normalize_gradients=False)
            self.exact_octaves = OctavesLoss(
                descriptor, exemplar, octaves, normalize_gradients=False
            )
        self.loss = TextureLoss(
            descriptor.computing(self.arithmetic),
            exemplar,
            normalize_gradients=True,
            weights=training.weights,
        )
        self.octaves = OctavesLoss(
            self.loss.descriptor,
            exemplar,
            octaves,
            normalize_gradients=True,
            weights=training.weights,
        )
        self.detail = DetailLoss(exemplar, training.detail_weight)
        self.exemplar = exemplar
        self.octave = octave


class TextureTask:
    """Draws batches of samples and compares them with the exemplar."""

    def __init__(self, descriptor: Descriptor, exemplar: Tensor, training: TrainingConfig) -> None:
        """Measure the exemplar.

        Args:
            descriptor: in fp32; training takes a copy in what is fast on the exemplar's device.
            exemplar: float32 (1, 3, H, W), RGB in [0, 1], on the descriptor's device.
            training: how.
        """
        self.training = training
        self.device = exemplar.device
        self.descriptor, self.exemplar = descriptor, exemplar
        self.comparison = self._compared(training.octave(0))
        self.lattice: LatticeLoss | None = None
        """Of an exemplar with waves, once it is needed."""
        self.forward = self._forward

    def _compared(self, octave: int) -> Comparison:
        return Comparison(self.descriptor, self.exemplar, self.training, octave)

    def _meet(self, generator: Generator) -> None:
        """Compare with the exemplar at the octave of a generator from here on."""
        octave = self.training.octave(generator.config.fine)
        if octave != self.comparison.octave:
            self.comparison = self._compared(octave)

    def losses(self, generator: Generator, rng: torch.Generator, moment: Moment) -> Losses:
        """Return the losses of a new batch."""
        self._meet(generator)
        stage = self.training.stage(self.comparison.octave, moment.progress)
        return self.forward(generator, self._batch(generator, rng, stage))

    def compile(self, generator: Generator) -> None:
        """Compile the forward and backward pass, and try them out.

        Raises:
            RequestError: that does not work here.
        """
        self._meet(generator)
        stage = self.training.stage(self.comparison.octave, 0)
        sample = self._batch(generator, torch.Generator(), stage)
        self.forward = compiled(self._forward, generator, sample)

    @torch.no_grad()
    def evaluate(self, generator: Generator) -> Evaluation:
        """Measure the generator as the exported model runs: fixed statistics, fp32, fixed noise."""
        self._meet(generator)
        compared, rng = self.comparison, torch.Generator().manual_seed(SEED)
        height, width = (
            max(min(2 * side, LARGEST) // generator.config.stride, 1) * generator.config.stride
            for side in compared.exemplar.shape[-2:]
        )
        with exact_convolutions():
            side = self.training.stages[-1].sample  # the exemplar may be too small for statistics
            batches = (
                self._here(draw(generator, 1, side, side, rng)).pyramid
                for _ in range(CALIBRATION_BATCHES)
            )
            calibrate(generator, batches)
            pictures = generator(*self._here(draw(generator, 1, height, width, rng)).pyramid)
            losses = compared.exact(pictures) | compared.exact_octaves(pictures)
        layers = {name: loss.item() for name, loss in losses.items()}
        pictures = pictures.clamp(0, 1)
        flat = bool((contrast(pictures) < FLAT * contrast(compared.exemplar)).any())
        total, octave = sum(layers.values()), compared.octave
        return Evaluation(total, layers, pictures.cpu(), flat=flat, octave=octave)

    def _forward(self, generator: Generator, sample: Sample) -> Losses:
        compared, coarse = self.comparison, None
        fast = compared.arithmetic == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
            if generator.config.fine:
                pictures, coarse = generator.refined(sample.pyramid)
            else:
                pictures = generator(*sample.pyramid)
        pictures = pictures.float()
        layers = compared.loss(pictures) | compared.octaves(pictures)
        objective = sum(layers.values(), self.training.range_weight * range_penalty(pictures))
        if self.training.detail_weight:
            objective = objective + compared.detail(pictures)
        if self.training.grid_weight:
            objective = objective + self.training.grid_weight * grid_penalty(pictures)
        if coarse is not None:
            objective = objective + self.training.tie_weight * tie_loss(pictures, coarse.float())
        elif sample.waves:
            lattice = self._lattice(generator.config.waves)
            loss = lattice(pictures, sample.waves, sample.offsets)
            objective = objective + self.training.lattice_weight * loss
        return Losses(layers, objective)

    def _lattice(self, waves: tuple[Wave, ...]) -> LatticeLoss:
        if self.lattice is None:
            self.lattice = LatticeLoss(self.comparison.exemplar, waves)
        return self.lattice

    def _batch(self, generator: Generator, rng: torch.Generator, stage: Stage) -> Sample:
        side = stage.sample
        return self._here(draw(generator, stage.batch, side, side, rng, jitter=JITTER))

    def _here(self, sample: Sample) -> Sample:
        """Return a sample on the device of training."""
        pyramid = [
            level.to(self.device, memory_format=torch.channels_last) for level in sample.pyramid
        ]
        return dataclasses.replace(sample, pyramid=pyramid)
