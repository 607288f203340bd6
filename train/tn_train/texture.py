"""What a texture generator is trained on: samples from noise against the exemplar's statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tn_runtime.errors import RequestError
from tn_train import noise
from tn_train.config import Stage, TrainingConfig
from tn_train.descriptor import Descriptor, fast_precision
from tn_train.generator import Generator
from tn_train.loop import Evaluation, Losses
from tn_train.losses import TextureLoss, range_penalty

EVALUATION_SEED = 2016
"""The same for all runs, so that their losses can be compared."""
SAMPLES = 2
LARGEST = 256
"""Side of the samples for evaluation, pixels, whatever the exemplar's size."""
CALIBRATION_BATCHES = 2
CONTRAST = 0.05
"""Of the exemplar's: samples of which one has less are called flat."""


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
        # Generator and descriptor: bf16 takes about 0.6 of the generator's time, and the one run
        # that was compared (180 steps on dead_leaves) ended level, at 0.082 against 0.083. Weights
        # and optimiser stay fp32, and so does evaluation: what is kept as a run's loss, and decides
        # about the best weights, must not depend on the machine.
        self.precision = fast_precision(exemplar.device)
        with _without_tf32():
            self.exact = TextureLoss(descriptor, exemplar, normalize_gradients=False)
        self.loss = TextureLoss(
            descriptor.cast(self.precision),
            exemplar,
            normalize_gradients=training.normalize_gradients,
        )
        self.exemplar = exemplar
        self.forward = self._forward

    def losses(self, generator: Generator, rng: torch.Generator, progress: float) -> Losses:
        """Return the losses of a new batch."""
        stage = self.training.stage(progress)
        return Losses(*self.forward(generator, self._batch(generator, rng, stage)))

    def compile(self, generator: Generator) -> None:
        """Compile the forward and backward pass, and try them out.

        Raises:
            RequestError: that does not work here.
        """
        self.forward = torch.compile(self._forward)
        try:
            z = self._batch(generator, torch.Generator(), self.training.stages[0])
            layers, penalty = self.forward(generator, z)
            sum(layers.values(), penalty).backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # compilers fail in many ways, none of them documented
            reason = str(error).strip().partition("\n")[0]
            raise RequestError(f"--compile does not work here, leave it out ({reason})") from error

    @torch.no_grad()
    def evaluate(self, generator: Generator) -> Evaluation:
        """Measure the generator as the exported model runs: fixed statistics, fp32, fixed noise."""
        rng = torch.Generator().manual_seed(EVALUATION_SEED)
        height, width = (
            max(min(side, LARGEST) // generator.config.stride, 1) * generator.config.stride
            for side in self.exemplar.shape[-2:]
        )
        with _without_tf32():
            self._calibrate(generator, rng)
            z = self._to_device(noise.draw(generator, SAMPLES, height, width, rng))
            pictures = generator(*z)
            layers = {name: loss.item() for name, loss in self.exact(pictures).items()}
        pictures = pictures.clamp(0, 1)
        flat = _contrast(pictures) < CONTRAST * _contrast(self.exemplar)
        return Evaluation(sum(layers.values()), layers, pictures.cpu(), flat=flat)

    def _forward(self, generator: Generator, z: list[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Return the loss of each layer and the penalty."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            pictures = generator(*z)
        pictures = pictures.float()
        return self.loss(pictures), self.training.range_weight * range_penalty(pictures)

    def _batch(self, generator: Generator, rng: torch.Generator, stage: Stage) -> list[Tensor]:
        z = noise.draw(generator, stage.batch, stage.sample, stage.sample, rng)
        return self._to_device(z)

    def _calibrate(self, generator: Generator, rng: torch.Generator) -> None:
        """Set the BatchNorm statistics to those of the present weights; leave it in eval mode.

        The running means lag behind while the weights move fast, so this wins clearly early on: in
        one run on dead_leaves (8 x 128 px, 180 steps) the loss in eval mode was 1.47 with running
        means and 0.22 with fresh ones at step 30, 0.155 and 0.080 at step 90. At the end, where
        steps are small, it brought nothing: 0.082 and 0.083. It is kept so that evaluations on the
        way, previews and interrupted runs can be trusted.
        """
        with _fresh_statistics(generator):
            for _ in range(CALIBRATION_BATCHES):
                generator(*self._batch(generator, rng, self.training.stages[0]))
        generator.eval()

    def _to_device(self, z: list[Tensor]) -> list[Tensor]:
        return [level.to(self.device, memory_format=torch.channels_last) for level in z]


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Let cuDNN compute fp32 convolutions in fp32, which is not its default."""
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # not annotated
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before


@contextmanager
def _fresh_statistics(generator: nn.Module) -> Iterator[None]:
    """Let every BatchNorm average its statistics anew, over the batches of the body."""
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    generator.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _contrast(pictures: Tensor) -> float:
    """Return the standard deviation of the strongest channel, of the flattest picture."""
    return pictures.std(dim=(-2, -1)).amax(dim=-1).min().item()
