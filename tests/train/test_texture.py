"""What a texture generator is measured by."""

import dataclasses

import pytest
import torch
from torch import Tensor

from tiny import TINY, untrained
from tn_train import texture
from tn_train.checkpoint import Checkpoint
from tn_train.config import Stage, TrainingConfig
from tn_train.descriptor import vgg16
from tn_train.evaluation import contrast
from tn_train.generator import Generator
from tn_train.loop import Moment
from tn_train.refinement import with_fine_level
from tn_train.texture import TextureTask
from tn_train.waves import wave


def test_a_flat_sample_is_noticed(fresh: Checkpoint, task: TextureTask):
    torch.manual_seed(0)
    generator = Generator(fresh.config)
    with torch.no_grad():
        generator.to_rgb.weight *= 10
    assert not task.evaluate(generator).flat
    with torch.no_grad():
        generator.to_rgb.weight.zero_()
    assert task.evaluate(generator).flat


def test_contrast_is_that_of_a_picture_in_its_strongest_channel():
    pictures = torch.zeros(2, 3, 4, 4)
    pictures[0, :, 0] = 1
    pictures[1, 2, 0] = 0.5
    assert contrast(pictures)[1].item() == pytest.approx(pictures[1, 2].std().item())


def test_evaluation_is_fp32_whatever_training_is(
    fresh: Checkpoint, exemplar: Tensor, monkeypatch: pytest.MonkeyPatch
):
    evaluations, trained = [], []
    for arithmetic in ("fp32", "winograd", "bf16"):
        monkeypatch.setattr(texture, "fast_arithmetic", lambda _, way=arithmetic: way)
        task = TextureTask(vgg16(fresh.training.layers), exemplar, fresh.training)
        torch.manual_seed(0)
        generator = Generator(fresh.config)
        evaluations.append(task.evaluate(generator))
        losses = task.losses(generator.train(), torch.Generator().manual_seed(0), Moment(0, 0.0))
        trained.append({name: loss.item() for name, loss in losses.layers.items()})
    exact, winograd, bf16 = trained
    assert winograd == pytest.approx(exact, rel=1e-4)
    assert exact != bf16
    for other in evaluations[1:]:
        assert evaluations[0].layers == other.layers
        assert torch.equal(evaluations[0].pictures, other.pictures)


def test_small_exemplars_do_not_make_small_statistics(fresh: Checkpoint, exemplar: Tensor):
    """BatchNorm's statistics come from samples as large as in training, whatever is compared."""
    generator, found = Generator(fresh.config), []
    for shown in (exemplar, exemplar[..., :16, :16]):
        TextureTask(vgg16(fresh.training.layers), shown, fresh.training).evaluate(generator)
        found.append(torch.cat([buffer.flatten() for buffer in generator.buffers()]))
    assert torch.equal(*found)


def test_evaluations_go_by_all_octaves(fresh: Checkpoint, task: TextureTask):
    evaluation = task.evaluate(Generator(fresh.config))
    octaves = {name for name in evaluation.layers if name not in fresh.training.layers}
    assert octaves == {f"at 1/{scale}" for scale in task.comparison.octaves.scales} != set()
    assert evaluation.loss == sum(evaluation.layers.values())


def test_evaluation_forbids_tf32_and_leaves_the_setting_alone(fresh: Checkpoint, task: TextureTask):
    convolutions, seen = torch.backends.cudnn.conv, []

    class Watched(Generator):
        def forward(self, *noise: Tensor) -> Tensor:
            seen.append(convolutions.fp32_precision)
            return super().forward(*noise)

    before = convolutions.fp32_precision
    task.evaluate(Watched(fresh.config))
    assert set(seen) == {"ieee"}
    assert convolutions.fp32_precision == before


@pytest.mark.parametrize("weight", ["grid_weight", "lattice_weight", "tie_weight"])
def test_what_the_objective_has_beside_the_style_losses(weight: str, exemplar: Tensor):
    """The pattern's loss needs waves, and the tie a fine level."""
    waves = (wave(0.0, 0.125),) if weight == "lattice_weight" else ()
    coarse = untrained(dataclasses.replace(TINY, waves=waves))
    generator = with_fine_level(coarse) if weight == "tie_weight" else coarse
    stages = (Stage(0.5, 32, 1, octave=1), Stage(0.5, 64, 1))
    training = TrainingConfig(size=48, stages=stages, layers=("relu1_1",))
    descriptor = vgg16(training.layers)

    def objective(value: float) -> float:
        rng, moment = torch.Generator().manual_seed(0), Moment(0, 0.75)
        weighted = dataclasses.replace(training, **{weight: value})
        task = TextureTask(descriptor, exemplar, weighted)
        return task.losses(generator.eval(), rng, moment).objective.item()

    none, once, twice = map(objective, (0.0, 1e6, 2e6))
    assert once > none + 1
    assert twice - none == pytest.approx(2 * (once - none), rel=1e-3)
