"""The loop's promises: reproducible, resumable bit for bit, never a broken model."""

import dataclasses
import math
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from tn_runtime.errors import CheckpointError, RequestError, TrainingError
from tn_train import checkpoint as checkpoints
from tn_train.checkpoint import Checkpoint
from tn_train.config import Budget, Stage, TrainingConfig
from tn_train.generator import Generator
from tn_train.interrupt import Interrupted
from tn_train.loop import FLOOR, WARM_UP, Event, Losses, Moment, Run, choose_device, train
from tn_train.texture import TextureTask

CPU = torch.device("cpu")


def plain(value):
    """Turn tensors into lists and leave out clock times, for comparing everything else exactly."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key != "seconds"}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def stop_at(step: int):
    def report(event: Event) -> None:
        if event.step == step:
            raise Interrupted

    return report


class Poisoned:
    """A task that turns its loss or its gradient into NaN at certain steps."""

    def __init__(
        self, task: TextureTask, steps: set[int], *, gradient: bool, step: int = 0
    ) -> None:
        self.task, self.steps, self.gradient, self.step = task, steps, gradient, step

    def losses(self, generator, rng, moment):
        self.step += 1
        losses = self.task.losses(generator, rng, moment)
        if self.step not in self.steps:
            return losses
        weight = next(generator.parameters())
        poison = (weight - weight).abs().sqrt().sum() if self.gradient else math.nan
        return Losses(losses.layers, losses.objective + poison)

    def evaluate(self, generator):
        return self.task.evaluate(generator)


def test_training_lowers_the_loss_and_reports_every_step(fresh: Checkpoint, trained):
    events: list[Event] = []
    run = trained(fresh, events.append)
    assert [event.step for event in events] == list(range(1, 81))
    assert [event.step for event in events if event.evaluation] == [40, 80]
    assert events[-1].progress == 1
    assert events[-1].left == 0
    assert run.kept_loss < events[0].loss
    assert [record.step for record in run.history] == [0, 40, 80]
    assert run.kept_loss == run.history[-1].loss


def test_kept_weights_reproduce_their_loss(fresh: Checkpoint, trained, task: TextureTask, tmp_path):
    checkpoint = trained().checkpoint()
    checkpoints.save(checkpoint, tmp_path / "a.pt")
    generator = checkpoints.load(tmp_path / "a.pt").generator()
    assert not generator.training
    assert task.evaluate(generator).loss == pytest.approx(checkpoint.loss, rel=1e-4)


def test_the_last_weights_are_kept_not_the_luckiest(fresh: Checkpoint, task: TextureTask):
    losses = iter([3.0, 1.0, 2.0])

    class Unlucky(Poisoned):
        def evaluate(self, generator):
            return dataclasses.replace(super().evaluate(generator), loss=next(losses))

    run = Run(fresh, CPU)
    train(run, Unlucky(task, set(), gradient=False), lambda _: None)
    assert run.kept_loss == 2
    assert plain(run.kept) == plain(run.averaged.state_dict())


def test_same_seed_same_weights(fresh: Checkpoint, trained):
    other = dataclasses.replace(fresh, training=dataclasses.replace(fresh.training, seed=1))
    first, second, third = trained(), trained(), trained(other)
    assert plain(first.checkpoint()) == plain(second.checkpoint())
    assert plain(first.kept) != plain(third.kept)


@pytest.mark.parametrize("stop", [0, 28, 40, 52])
def test_resumed_equals_uninterrupted_bit_for_bit(
    fresh: Checkpoint, trained, task: TextureTask, tmp_path: Path, stop: int
):
    whole = trained()
    path = tmp_path / "half.pt"
    half = Run(fresh, CPU)
    if stop:
        with pytest.raises(Interrupted):
            train(half, task, stop_at(stop))
    checkpoints.save(half.checkpoint(), path)
    loaded = checkpoints.load(path)
    assert loaded.steps == stop
    resumed = trained(loaded)
    checkpoints.save(resumed.checkpoint(), tmp_path / "resumed.pt")
    checkpoints.save(whole.checkpoint(), tmp_path / "whole.pt")
    assert plain(checkpoints.load(tmp_path / "resumed.pt")) == plain(
        checkpoints.load(tmp_path / "whole.pt")
    )


def test_resumed_between_evaluations_goes_back_as_far_as_uninterrupted(
    fresh: Checkpoint, task: TextureTask, tmp_path: Path
):
    whole, half = Run(fresh, CPU), Run(fresh, CPU)
    train(whole, Poisoned(task, {64}, gradient=False), lambda _: None)
    with pytest.raises(Interrupted):
        train(half, task, stop_at(52))
    checkpoints.save(half.checkpoint(), tmp_path / "half.pt")
    resumed = Run(checkpoints.load(tmp_path / "half.pt"), CPU)
    assert plain(resumed.good) != plain(resumed.snapshot())
    train(resumed, Poisoned(task, {64}, gradient=False, step=52), lambda _: None)
    assert resumed.divergences == 1
    assert plain(resumed.checkpoint()) == plain(whole.checkpoint())


@pytest.mark.parametrize("gradient", [False, True])
def test_nan_is_taken_back_with_a_smaller_step(fresh: Checkpoint, task: TextureTask, gradient):
    events: list[Event] = []
    run = Run(fresh, CPU)
    train(run, Poisoned(task, {10, 56}, gradient=gradient), events.append)
    assert [event.divergences for event in events] == [0] * 9 + [1] * 46 + [2] * 25
    assert run.step == 80
    assert math.isfinite(run.kept_loss)
    assert all(torch.isfinite(p).all() for p in run.generator.parameters())
    calm = Run(fresh, CPU)
    calm.step = run.step = 3
    assert run.learning_rate == pytest.approx(calm.learning_rate / 16)


def test_nan_for_ever_is_a_training_error(fresh: Checkpoint, task: TextureTask):
    run = Run(fresh, CPU)
    with pytest.raises(TrainingError, match="diverged 6 times"):
        train(run, Poisoned(task, set(range(81)), gradient=False), lambda _: None)


@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_a_huge_learning_rate_never_passes_as_success(fresh: Checkpoint, task: TextureTask, rate):
    wild = dataclasses.replace(
        fresh, training=dataclasses.replace(fresh.training, learning_rate=rate)
    )
    with pytest.raises(TrainingError):
        train(Run(wild, CPU), task, lambda _: None)


@pytest.mark.parametrize("started", [False, True])
def test_flat_pictures_never_pass_as_success(fresh: Checkpoint, task: TextureTask, started: bool):
    start = Generator(fresh.config).state_dict() if started else {}
    run = Run(dataclasses.replace(fresh, weights=start), CPU)
    with torch.no_grad():
        run.generator.to_rgb.weight.zero_()
    for parameter in run.generator.parameters():
        parameter.requires_grad_(requires_grad=False)
    run.generator.to_rgb.bias.requires_grad_()
    with pytest.raises(TrainingError, match="still flat"):
        train(run, task, lambda _: None)


def test_a_run_that_only_diverged_does_not_call_its_pictures_flat(fresh, task: TextureTask):
    run = Run(dataclasses.replace(fresh, budget=Budget(steps=3)), CPU)
    with pytest.raises(TrainingError, match=r"nothing to keep \(divergences: 1\)"):
        train(run, Poisoned(task, {3}, gradient=False), lambda _: None)


def test_ctrl_c_in_the_last_step_comes_too_late(fresh: Checkpoint, task: TextureTask):
    def press(event: Event) -> None:
        if event.step == 80:
            signal.raise_signal(signal.SIGINT)

    run = Run(fresh, CPU)
    train(run, task, press)
    assert run.kept_loss < math.inf


def test_learning_rate_is_a_cosine_of_progress(fresh: Checkpoint):
    run = Run(fresh, CPU)
    base = fresh.training.learning_rate
    rates = []
    for step in (0, 40, 80):
        run.step = step
        rates.append(run.learning_rate / base)
    assert rates == pytest.approx([1 / WARM_UP, (1 + FLOOR) / 2, FLOOR])


def test_budget_in_minutes_ends(fresh: Checkpoint, trained):
    run = trained(dataclasses.replace(fresh, budget=Budget(minutes=0.01)))
    assert run.step >= 1
    assert run.seconds >= 0.6


def test_evaluation_is_deterministic_and_leaves_training_alone(fresh, task: TextureTask):
    run = Run(fresh, CPU)
    before = run.rng.get_state()
    momenta = [m.momentum for m in run.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    first, second = task.evaluate(run.generator), task.evaluate(run.generator)
    assert torch.equal(first.pictures, second.pictures)
    assert torch.equal(run.rng.get_state(), before)
    assert momenta == [0.1] * len(momenta)
    assert first.pictures.shape == (1, 3, 80, 96)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "x"},
        {"optimizer": {"state": [], "param_groups": [{}]}},
        {"optimizer": {"state": {}, "param_groups": []}},
        {"optimizer": {"state": {}, "param_groups": 3}},
        {"generator": "x"},
        {"generator": {}},
        {"generator": None},
        {"good": None},
        {"good": {"generator": {}, "optimizer": {}}},
        {"rng": 3},
        {"rng": torch.zeros(3)},
        {"divergences": "many"},
    ],
)
def test_a_state_that_is_none(trained, tmp_path: Path, changes):
    checkpoint = trained().checkpoint()
    broken = dataclasses.replace(checkpoint, state=checkpoint.state | changes)
    checkpoints.save(broken, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no sound state"):
        Run(checkpoints.load(tmp_path / "a.pt"), CPU)
    for name in checkpoint.state:
        state = {key: value for key, value in checkpoint.state.items() if key != name}
        with pytest.raises(CheckpointError, match="no sound state"):
            Run(dataclasses.replace(checkpoint, state=state), CPU)


def test_devices():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}
    with pytest.raises(RequestError, match="choose from auto"):
        choose_device("abacus")


def test_stages_follow_one_another():
    training = TrainingConfig(stages=(Stage(0.5, 16, 4), Stage(0.5, 32, 1)))
    assert [training.stage(0, progress).sample for progress in (0, 0.49, 0.5, 0.99, 1)] == [
        16,
        16,
        32,
        32,
        32,
    ]


def test_what_is_kept_is_the_average_of_the_weights(fresh: Checkpoint, task: TextureTask):
    """Each step of a run counts for less than the next."""
    training = dataclasses.replace(fresh.training, averaging=0.5)
    run = Run(dataclasses.replace(fresh, training=training), torch.device("cpu"))
    weight, averaged = run.generator.to_rgb.weight, run.averaged.to_rgb.weight
    expected = weight.detach().clone()
    for step in range(3):
        assert run.descend(task.losses(run.generator.train(), run.rng, Moment(0, 0.0)))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
        run.step += 1
        assert torch.allclose(averaged, expected, atol=1e-7)
    assert not torch.equal(averaged, weight)
