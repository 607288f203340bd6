"""Fine levels: how many there are, what they learn, what they leave alone."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tn_export.model import export
from tn_runtime import session
from tn_runtime.errors import CheckpointError
from tn_runtime.spec import Exemplar
from tn_runtime.synthesis import synthesize
from tn_train import checkpoint as checkpoints
from tn_train import torus
from tn_train.checkpoint import Checkpoint
from tn_train.config import PRESETS, Budget, GeneratorConfig, Stage, TrainingConfig
from tn_train.descriptor import vgg16
from tn_train.evaluation import calibrate
from tn_train.generator import Generator
from tn_train.interrupt import Interrupted
from tn_train.loop import Event, Run, train
from tn_train.plan import Options, plan
from tn_train.refinement import TIE_SCALE, beginning, stages, tie_loss, whole, with_fine_level
from tn_train.sampling import draw
from tn_train.texture import TextureTask
from tn_train.waves import wave
from train.conftest import LAYERS
from train.pictures import pattern
from train.test_loop import CPU, Poisoned, plain, stop_at

FUNNEL = PRESETS["texture"]["funnel"].training
STAGES = tuple(
    Stage(0.25, side, 1, octave) for side, octave in ((16, 2), (32, 2), (32, 1), (32, 0))
)
TRAINING = TrainingConfig(size=96, coarse=24, stages=STAGES, layers=LAYERS)
STEPS = 32
"""Fine levels begin after steps 16 and 24."""


@pytest.fixture(scope="module")
def run() -> Checkpoint:
    """Return a tiny run with two fine levels that has not begun."""
    return Checkpoint(
        name="tiny",
        preset="funnel",
        config=GeneratorConfig(widths=(8, 8), branch=4),
        training=TRAINING,
        budget=Budget(steps=STEPS),
        descriptor="vgg16",
        exemplars=(Exemplar("pattern.png", "0" * 64, 96, 80),),
    )


@pytest.fixture(scope="module")
def task() -> TextureTask:
    pixels = torch.from_numpy(pattern(80, 96).astype(np.float32) / 255)
    return TextureTask(vgg16(LAYERS), pixels.permute(2, 0, 1)[None], TRAINING)


@pytest.fixture(scope="module")
def undisturbed(run: Checkpoint, task: TextureTask) -> tuple[Run, list[Event]]:
    events: list[Event] = []
    done = Run(run, CPU)
    train(done, task, events.append)
    return done, events


@pytest.fixture
def coarse() -> Generator:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(widths=(8, 8), branch=4))
    calibrate(generator, [torus.draw(generator, 2, 32, 32, torch.Generator().manual_seed(1))])
    return generator


@pytest.fixture
def generator(coarse: Generator) -> Generator:
    """Return the same with a fine level on top."""
    return with_fine_level(coarse)


@pytest.mark.parametrize(
    ("width", "height", "octaves"),
    [
        (32, 32, 0),
        (256, 256, 0),
        (362, 300, 0),
        (363, 300, 1),
        (300, 512, 1),
        (1000, 800, 2),
        (1024, 1024, 2),
        (1024, 100, 1),  # at 256x25 the descriptor would see too little
        (1024, 40, 0),
        (4096, 4096, 4),
        (10**5, 10**5, 4),
    ],
)
def test_the_number_of_fine_levels_follows_from_the_size(width: int, height: int, octaves: int):
    found = stages(FUNNEL, Exemplar("a.png", "", width, height), 32)
    assert sorted({stage.octave for stage in found}) == list(range(octaves + 1))
    assert math.isclose(sum(stage.share for stage in found), 1)
    if octaves == 0:
        assert found == FUNNEL.stages


def test_a_generator_learns_from_samples_of_its_own_octave_however_much_of_the_run_is_done():
    """A run that goes on with ten times the steps is at a finer octave than its share tells."""
    for octave, own in ((2, STAGES[:2]), (1, STAGES[2:3]), (0, STAGES[3:])):
        found = [TRAINING.stage(octave, progress) for progress in (0, 0.1, 0.3, 0.6, 0.9, 1)]
        assert list(dict.fromkeys(found)) == list(own)


def test_a_checkpoint_of_the_largest_exemplar_is_read(run: Checkpoint, tmp_path: Path):
    training = dataclasses.replace(FUNNEL, stages=stages(FUNNEL, Exemplar("", "", 4096, 4096), 32))
    generator = Generator(PRESETS["texture"]["funnel"].generator)
    for fine in range(5):
        kept = dataclasses.replace(
            run, config=generator.config, training=training, weights=generator.state_dict()
        )
        checkpoints.save(kept, tmp_path / f"{fine}.pt")
        assert checkpoints.load(tmp_path / f"{fine}.pt").config.fine == fine
        generator = with_fine_level(generator)


def test_the_papers_preset_learns_from_any_size_as_it_is():
    paper = PRESETS["texture"]["paper"].training
    assert stages(paper, Exemplar("a.png", "", 4096, 4096), 32) == paper.stages


def test_a_run_begins_with_the_presets_network():
    preset = PRESETS["texture"]["funnel"]
    found = stages(FUNNEL, Exemplar("a.png", "", 1024, 1024), 32)
    widths = (16, 16, *preset.generator.widths)
    full = dataclasses.replace(preset.generator, widths=widths, smooth=2, wave_level=3)
    training = dataclasses.replace(FUNNEL, stages=found)
    assert beginning(full, training) == preset.generator


@pytest.mark.parametrize(
    ("options", "size", "octaves"),
    [
        ({}, 1024, 2),
        ({"budget": Budget(minutes=5.0)}, 1024, 2),
        ({"budget": Budget(minutes=4.9)}, 512, 1),
        ({"budget": Budget(steps=3)}, 1024, 2),
        ({"budget": Budget(minutes=1.0), "size": 700}, 700, 1),
        ({"budget": Budget(minutes=1.0), "preset": "paper"}, 256, 0),
    ],
)
def test_a_short_budget_takes_a_smaller_picture(tmp_path: Path, options, size: int, octaves: int):
    path = tmp_path / "photo.png"
    Image.fromarray(pattern(800, 1200)).save(path)
    planned = plan(Options((path,), tmp_path / "a.pt", **options))
    checkpoint = planned.checkpoint
    assert checkpoint.training.size == checkpoint.exemplars[0].width == size
    assert planned.pixels[0].shape[-1] == size
    assert checkpoint.training.stages[0].octave == octaves


def test_the_coarse_picture_is_the_one_that_the_coarser_generator_makes(
    coarse: Generator, generator: Generator
):
    z = draw(generator, 2, 24, 40, torch.Generator().manual_seed(0)).pyramid
    wider = (under - alone for under, alone in zip(generator.halos[1:], coarse.halos, strict=True))
    own = [
        level[..., more : level.shape[-2] - more, more : level.shape[-1] - more]
        for level, more in zip(z[1:], wider, strict=True)
    ]
    with torch.no_grad():
        pictures, beside = generator.eval().refined(z)
        assert torch.equal(pictures, generator(*z))
        assert torch.allclose(beside, coarse.eval()(*own), atol=1e-5)


def test_a_fine_level_is_free_within_the_blocks_that_are_tied():
    side = TIE_SCALE
    coarse = 0.8 * torch.rand(1, 3, 4 * side, 2 * side, generator=torch.Generator().manual_seed(0))
    enlarged = F.interpolate(coarse, scale_factor=2, mode="nearest")
    pixels = F.pixel_unshuffle(enlarged, side)  # the pixels of a block are channels
    order = torch.randperm(side * side, generator=torch.Generator().manual_seed(1))
    n, _, h, w = pixels.shape
    mixed = pixels.view(n, 3, side * side, h, w)[:, :, order].reshape(pixels.shape)
    other = F.pixel_shuffle(mixed, side)
    assert (other - enlarged).abs().mean() > 0.1
    assert tie_loss(other, coarse).item() == pytest.approx(0, abs=1e-12)
    assert tie_loss(other + 0.1, coarse).item() == pytest.approx(0.01, rel=1e-4)


def test_a_fine_level_is_trained_alone(generator: Generator):
    fixed = {
        f"{name}.{key}"
        for name in ("coarsest", "branches.1", "joins.1", "coarse_to_rgb")
        for key in generator.get_submodule(name).state_dict()
    }
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    z = draw(generator, 1, 32, 32, torch.Generator().manual_seed(0)).pyramid
    optimizer = torch.optim.SGD([p for p in generator.parameters() if p.requires_grad], 0.1)
    generator.train()(*z).square().sum().backward()
    optimizer.step()
    calibrate(generator, [z])
    changed = {
        name for name, old in before.items() if not torch.equal(generator.state_dict()[name], old)
    }
    assert not changed & fixed
    assert {"to_rgb.weight", "branches.0.0.weight", "joins.0.block.1.running_mean"} <= changed


def test_a_generator_with_fine_levels_is_one_network(generator: Generator):
    z = draw(generator, 1, 24, 24, torch.Generator().manual_seed(0)).pyramid
    one = whole(generator.eval())
    assert one.config == dataclasses.replace(generator.config, fine=0)
    assert one.state_dict().keys() == Generator(one.config).state_dict().keys()
    assert not one.training
    with torch.no_grad():
        assert torch.equal(one(*z), generator(*z))


def test_the_pictures_of_a_run_grow(undisturbed):
    run, events = undisturbed
    shown = {e.step: e.evaluation.octave for e in events if e.evaluation}
    assert shown == {16: 2, 24: 1, 32: 0}
    assert [(record.step, record.fine) for record in run.history] == [
        (0, 0), (16, 0), (16, 1), (24, 1), (24, 2), (32, 2)
    ]  # fmt: skip
    checkpoint = run.checkpoint()
    assert checkpoint.config.fine == 2
    config = GeneratorConfig(widths=(4, 4, 8, 8), branch=4, smooth=2, wave_level=3)
    assert checkpoint.generator().config == config


def test_each_level_has_a_cosine_of_its_own(run: Checkpoint):
    started = Run(run, CPU)
    started.step = 15
    last = started.learning_rate
    assert last < 0.1 * run.training.learning_rate
    started.step = 16
    started.refine()
    started.step = 22
    again = started.learning_rate
    started.step = 20
    assert last < again < started.learning_rate < run.training.learning_rate


@pytest.mark.parametrize("stop", [5, 15, 16, 17, 24, 29])
def test_resumed_equals_undisturbed(
    run: Checkpoint, task: TextureTask, undisturbed, tmp_path: Path, stop: int
):
    half = Run(run, CPU)
    with pytest.raises(Interrupted):
        train(half, task, stop_at(stop))
    checkpoints.save(half.checkpoint(), tmp_path / "half.pt")
    resumed = Run(checkpoints.load(tmp_path / "half.pt"), CPU)
    train(resumed, task, lambda _: None)
    assert plain(resumed.checkpoint()) == plain(undisturbed[0].checkpoint())


def test_a_run_with_waves_is_resumed_alike(run: Checkpoint, task: TextureTask, tmp_path: Path):
    config = dataclasses.replace(run.config, waves=(wave(0.1, 0.03),))
    regular = dataclasses.replace(run, config=config)
    once, half = Run(regular, CPU), Run(regular, CPU)
    train(once, TextureTask(task.descriptor, task.exemplar, TRAINING), lambda _: None)
    with pytest.raises(Interrupted):
        train(half, TextureTask(task.descriptor, task.exemplar, TRAINING), stop_at(9))
    checkpoints.save(half.checkpoint(), tmp_path / "half.pt")
    resumed = Run(checkpoints.load(tmp_path / "half.pt"), CPU)
    train(resumed, TextureTask(task.descriptor, task.exemplar, TRAINING), lambda _: None)
    assert resumed.generator.config.waves == config.waves
    assert plain(resumed.checkpoint()) == plain(once.checkpoint())


def test_until_a_fine_level_shows_anything_the_coarser_picture_is_kept(
    run: Checkpoint, task: TextureTask, tmp_path: Path
):
    half = Run(run, CPU)
    with pytest.raises(Interrupted):
        train(half, task, stop_at(17))
    assert half.generator.config.fine == 1
    checkpoints.save(half.checkpoint(), tmp_path / "half.pt")
    kept = checkpoints.load(tmp_path / "half.pt")
    assert kept.config.fine == 0
    assert kept.loss == half.history[1].loss
    assert task.evaluate(kept.generator()).loss == pytest.approx(kept.loss, rel=1e-4)


def test_a_fine_levels_loss_is_no_divergence_from_a_coarser_one(run: Checkpoint, task: TextureTask):
    coarser_is_better = iter([1.0, 0.01, 5.0, 1.0, 9.0, 1.0])

    class Uneven(Poisoned):
        def evaluate(self, generator):
            return dataclasses.replace(super().evaluate(generator), loss=next(coarser_is_better))

    done = Run(run, CPU)
    train(done, Uneven(task, set(), gradient=False), lambda _: None)
    assert done.divergences == 0


def test_a_divergence_of_a_fine_level_goes_back_to_that_level(run: Checkpoint, task: TextureTask):
    done = Run(run, CPU)
    train(done, Poisoned(task, {19, 27}, gradient=False), lambda _: None)
    assert done.divergences == 2
    assert done.checkpoint().config.fine == 2


def test_the_exported_program_is_exact_in_tiles(undisturbed, tmp_path: Path):
    export(undisturbed[0].checkpoint(), tmp_path / "a.onnx")  # it proves its windows
    model = session.load(tmp_path / "a.onnx", "cpu")
    assert (model.spec.stride, model.spec.generator.config["fine"]) == (8, 0)
    at_once = synthesize(model, (70, 90), seed=3, origin=(-5, 1000))
    tiled = synthesize(dataclasses.replace(model, tile=16), (70, 90), seed=3, origin=(-5, 1000))
    assert np.array_equal(at_once, tiled)
    twice = synthesize(model, (48, 80), period=(24, 40))
    assert np.array_equal(twice, np.tile(twice[:24, :40], (2, 2, 1)))


@pytest.mark.parametrize("octaves", [(1, 1), (2, 0), (1, 2, 0), (1, 0, 1, 0)])
def test_stages_that_cannot_follow_one_another(run: Checkpoint, tmp_path: Path, octaves):
    odd = tuple(Stage(1 / len(octaves), 32, 1, octave) for octave in octaves)
    training = dataclasses.replace(TRAINING, stages=odd)
    weights = Generator(run.config).state_dict()
    broken = dataclasses.replace(run, training=training, weights=weights)
    checkpoints.save(broken, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="octave"):
        checkpoints.load(tmp_path / "a.pt")
