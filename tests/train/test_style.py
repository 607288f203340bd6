"""What a style generator is trained on: photos that must stay themselves, in a painting's style."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import pytest
import torch
from torch import Tensor

from tn_train import checkpoint as checkpoints
from tn_train import style
from tn_train.checkpoint import Checkpoint
from tn_train.config import Budget, GeneratorConfig, Stage, TrainingConfig
from tn_train.descriptor import vgg16
from tn_train.generator import Generator
from tn_train.interrupt import Interrupted
from tn_train.loop import Event, Moment, Run, train
from tn_train.losses import (
    StylizationLoss,
    content_loss,
    range_penalty,
    tone_loss,
    tones,
    total_variation,
)
from tn_train.photos import Content
from tn_train.style import CONTENT, CONTENT_SHARE, PASSES, StyleTask
from train.test_loop import plain

CPU = torch.device("cpu")
LAYERS = ("relu1_1", "relu2_1")
TRAINING = TrainingConfig(
    size=48,
    stages=(Stage(0.6, 32, 2), Stage(0.4, 48, 1)),
    layers=LAYERS,
    content_layer="relu2_2",
    content_weight=1000.0,
    variation_weight=1.0,
)
CONFIG = GeneratorConfig(widths=(8, 8, 8), branch=4, content_channels=3)
STYLE_NORMS = pytest.mark.parametrize("norm", ["batch", "instance"])


def batch(number: int, side: int, count: int) -> Tensor:
    """Return soft colours and a hard edge, uint8 (count, 3, side, side)."""
    rng = torch.Generator().manual_seed(number)
    corners = torch.rand(count, 3, 2, 2, generator=rng)
    soft = torch.nn.functional.interpolate(corners, side, mode="bilinear")
    edge = torch.randint(side // 4, 3 * side // 4, (1,), generator=rng).item()
    soft[..., edge:] = 1 - soft[..., edge:]
    return (soft * 255).byte()


def photos(stage: Stage, numbers: Iterable[int]) -> Iterator[Tensor]:
    """Batches that depend on the stage and the number alone."""
    return (batch(number, stage.sample, stage.batch) for number in numbers)


def make_task(painting: Tensor, training: TrainingConfig = TRAINING, **changes) -> StyleTask:
    training = dataclasses.replace(training, **changes)
    held = batch(-1, 40, 2).float() / 255
    descriptor = vgg16([*training.layers, training.content_layer])
    return StyleTask(descriptor, [painting], photos, held, training)


@pytest.fixture
def painting(exemplar: Tensor) -> Tensor:
    return exemplar


@pytest.fixture
def begun(fresh: Checkpoint) -> Checkpoint:
    """Return a style run of 80 steps that has not begun."""
    content = Content(5, "0" * 64)
    return dataclasses.replace(fresh, config=CONFIG, training=TRAINING, content=content)


def with_norm(checkpoint: Checkpoint, norm: str) -> Checkpoint:
    """Return a run of a generator like one of the presets: only with BatchNorm it takes noise."""
    return dataclasses.replace(checkpoint, config=config_of(norm))


def config_of(norm: str) -> GeneratorConfig:
    if norm == "batch":
        return CONFIG
    return dataclasses.replace(CONFIG, norm=norm, noise_channels=0, slope=0.0)


def finished(checkpoint: Checkpoint, task: StyleTask, report=lambda _: None) -> Run:
    run = Run(checkpoint, CPU)
    train(run, task, report)
    return run


def new_generator(norm: str = "batch") -> Generator:
    torch.manual_seed(0)
    return Generator(config_of(norm))


def saved(run: Run, path) -> dict:
    """Save a run, load it again, and return all but clock times."""
    checkpoints.save(run.checkpoint(), path)
    return plain(checkpoints.load(path))


@STYLE_NORMS
def test_training_lowers_the_loss_of_style_and_of_held_photos(begun, painting, norm):
    events: list[Event] = []
    run = finished(with_norm(begun, norm), make_task(painting), events.append)
    assert [event.step for event in events if event.evaluation] == [40, 80]
    first, *_, last = run.history
    assert last.loss < 0.8 * first.loss
    assert run.kept_loss == last.loss
    assert set(last.layers) == {*LAYERS, "at 1/2", "at 1/4", CONTENT}


@pytest.mark.parametrize(("norm", "stop"), [("batch", 28), ("batch", 40), ("instance", 54)])
def test_resumed_equals_uninterrupted_bit_for_bit(begun, painting, tmp_path, norm, stop):
    """Stopped in the first stage, at an evaluation, and in the second."""

    def stop_there(event: Event) -> None:
        if event.step == stop:
            raise Interrupted

    checkpoint = with_norm(begun, norm)
    whole = finished(checkpoint, make_task(painting))
    half = Run(checkpoint, CPU)
    with pytest.raises(Interrupted):
        train(half, make_task(painting), stop_there)
    checkpoints.save(half.checkpoint(), tmp_path / "half.pt")
    loaded = checkpoints.load(tmp_path / "half.pt")
    assert loaded.steps == stop
    resumed = finished(loaded, make_task(painting))
    assert saved(resumed, tmp_path / "resumed.pt") == saved(whole, tmp_path / "whole.pt")


def test_losses_depend_on_the_moment_and_not_on_those_before(painting):
    """A task can be used again: it has no place of its own in the row of photos."""
    task, generator = make_task(painting), new_generator("instance")

    def losses(moment: Moment) -> dict[str, float]:
        rng = torch.Generator().manual_seed(0)
        layers = task.losses(generator, rng, moment).layers
        return {name: loss.item() for name, loss in layers.items()}

    moments = [Moment(0, 0.0), Moment(1, 0.1), Moment(2, 0.2), Moment(30, 0.8)]
    forwards = [losses(moment) for moment in moments]
    assert [losses(moment) for moment in reversed(moments)] == forwards[::-1]
    assert forwards[0] != forwards[1] != forwards[2]


@STYLE_NORMS
def test_evaluation_is_fp32_whatever_training_is(painting, monkeypatch, norm):
    evaluations, trained = [], []
    for arithmetic in ("fp32", "winograd", "bf16"):
        monkeypatch.setattr(style, "fast_arithmetic", lambda _, way=arithmetic: way)
        task, generator = make_task(painting), new_generator(norm)
        evaluations.append(task.evaluate(generator))
        losses = task.losses(generator.train(), torch.Generator().manual_seed(0), Moment(0, 0.0))
        trained.append({name: loss.item() for name, loss in losses.layers.items()})
    exact, winograd, bf16 = trained
    assert winograd == pytest.approx(exact, rel=1e-4)
    assert exact != bf16 == pytest.approx(exact, rel=0.1)
    for other in evaluations[1:]:
        assert evaluations[0].layers == other.layers
        assert torch.equal(evaluations[0].pictures, other.pictures)


@STYLE_NORMS
def test_evaluation_is_deterministic_and_of_the_photos_held_aside(painting, norm):
    task, generator = make_task(painting), new_generator(norm)
    first, second = task.evaluate(generator), task.evaluate(generator)
    assert torch.equal(first.pictures, second.pictures)
    assert first.layers == second.layers
    assert first.pictures.shape == task.held.shape == (2, 3, 40, 40)
    assert not generator.training
    task.held = task.held.flip(-1)
    assert not torch.equal(task.evaluate(generator).pictures, first.pictures)


def test_a_flat_picture_is_noticed_unless_its_photo_is_flat(painting):
    task, generator = make_task(painting), new_generator("instance")
    assert not task.evaluate(generator).flat
    task.held[1] = 0.5
    assert not task.evaluate(generator).flat
    generator.to_rgb.weight.data.zero_()
    assert task.evaluate(generator).flat


def test_what_evaluations_go_by_is_the_style_and_a_share_of_the_content(painting):
    task, generator, pictures = make_task(painting), new_generator("instance"), []
    generator.register_forward_hook(lambda *call: pictures.append(call[-1]))
    evaluation = task.evaluate(generator)
    [picture] = pictures
    with torch.no_grad():
        shown = task.shown[0]
        layers, content = shown.compare(picture, shown.stylization.target(task.held))
    layers[CONTENT] = CONTENT_SHARE * content
    expected = {name: loss.item() for name, loss in layers.items()}
    assert evaluation.layers == pytest.approx(expected)
    assert evaluation.loss == pytest.approx(sum(expected.values()))
    assert torch.equal(evaluation.pictures, picture.clamp(0, 1))


def test_a_weight_on_the_content_keeps_the_photo(begun, painting):
    contents, styles = [], []
    for weight in (0.0, 10_000.0):
        training = dataclasses.replace(TRAINING, content_weight=weight)
        checkpoint = dataclasses.replace(begun, training=training)
        run = finished(checkpoint, make_task(painting, training))
        last = run.history[-1].layers
        contents.append(last[CONTENT])
        styles.append(sum(last[name] for name in LAYERS))
    assert contents[1] < 0.6 * contents[0]
    assert styles[0] < styles[1]  # the two pull apart


def test_the_objective_is_the_sum_of_its_parts(painting, monkeypatch):
    monkeypatch.setattr(style, "fast_arithmetic", lambda _: "fp32")
    generator, pictures = new_generator("instance"), []
    generator.to_rgb.bias.data.fill_(1.2)  # part of the picture is beyond the range
    generator.register_forward_hook(lambda *call: pictures.append(call[-1].detach()))
    nothing = {
        "content_weight": 0.0,
        "range_weight": 0.0,
        "variation_weight": 0.0,
        "detail_weight": 0.0,
        "octaves": 1,
    }

    def losses(**changes):
        task = make_task(painting, **(nothing | changes))
        return task, task.losses(generator, torch.Generator().manual_seed(0), Moment(0, 0.0))

    task, bare = losses()
    picture, seen = pictures[-1], batch(0, 32, 2).float() / 255
    compared = task.shown[0].stylization
    layers, content = compared(picture, compared.target(seen).half())
    assert plain(bare.layers) == pytest.approx(plain(layers | {CONTENT: CONTENT_SHARE * content}))
    assert bare.objective.item() == pytest.approx(sum(layers.values()).item())
    with_octaves, _ = losses(octaves=2)
    for changes, part in (
        ({"content_weight": 3.0}, 3 * content),
        ({"range_weight": 1000.0}, 1000 * range_penalty(picture)),
        ({"tone_weight": 50.0}, 50 * tone_loss(picture, tones(seen))),
        ({"variation_weight": 50.0}, 50 * total_variation(picture)),
        ({"octaves": 2}, with_octaves.paintings[0].octaves(picture)["at 1/2"]),
        ({"detail_weight": 2.0}, task.paintings[0].detail(picture)),
    ):
        assert part > 0
        _, more = losses(**changes)
        difference = more.objective.item() - bare.objective.item()
        assert difference == pytest.approx(part.item(), rel=1e-3)


def test_photos_are_asked_for_at_each_stage_from_its_first_step_on(begun, painting):
    asked = []

    def watched(stage: Stage, numbers: Iterable[int]) -> Iterator[Tensor]:
        first = next(numbers := iter(numbers))
        asked.append((stage.sample, first))
        return photos(stage, itertools.chain([first], numbers))

    task = make_task(painting)
    task.photos = watched
    finished(dataclasses.replace(begun, budget=Budget(steps=10)), task)
    assert asked == [(32, 0), (32, 0), (48, 6)]  # the first time, for all evaluations


def test_each_painting_has_its_turn_and_only_its_norms_learn(begun, painting):
    paintings = [painting, painting.flip(1), painting.roll(1, 1)]
    held = batch(-1, 40, 2).float() / 255
    descriptor = vgg16([*LAYERS, TRAINING.content_layer])
    task = StyleTask(descriptor, paintings, photos, held, TRAINING)
    config = dataclasses.replace(config_of("instance"), styles=3)
    exemplars = begun.exemplars * 3
    run = Run(dataclasses.replace(begun, config=config, exemplars=exemplars), CPU)
    for _ in range(3):
        turns = []
        for _ in range(3):
            run.generator.zero_grad()
            task.losses(run.generator.train(), run.rng, Moment(run.step, 0.0)).objective.backward()
            moved = run.generator.coarsest[1].bias.grad.abs().sum(1).nonzero().flatten()
            turns += moved.tolist()
            run.step += 1
        assert sorted(turns) == [0, 1, 2]
    evaluation = task.evaluate(run.averaged)
    assert len(evaluation.pictures) == 3 * len(held)


def test_crops_come_again_in_rounds_and_their_features_are_computed_once(painting, monkeypatch):
    features = 128 * 16 * 16 * 2  # bytes of relu2_2 of a crop, in half precision
    monkeypatch.setattr(style, "KEPT", 3 * 2 * features)
    asked: list[int] = []
    described: list[int] = []

    def watched(stage: Stage, numbers: Iterable[int]) -> Iterator[Tensor]:
        for number in numbers:
            asked.append(number)
            yield batch(number, stage.sample, stage.batch)

    task, generator = make_task(painting), new_generator("instance")
    stylization = task.paintings[0].stylization
    target = stylization.target
    stylization.target = lambda each: described.append(len(asked)) or target(each)
    task.photos = watched
    rng = torch.Generator().manual_seed(0)
    for step in range(12):
        task.losses(generator, rng, Moment(step, 0.0))
    assert asked == [0, 1, 2] * PASSES + [3, 4, 5]
    assert described == [0, 1, 2, 3, 10, 11, 12]  # the first tells how large they are


def test_a_run_that_stops_within_a_round_goes_on_with_the_same_crops(
    begun, painting, monkeypatch, tmp_path
):
    monkeypatch.setattr(style, "KEPT", 3 * 2 * 128 * 16 * 16 * 2)
    begun = dataclasses.replace(begun, budget=Budget(steps=16))

    def stop(event: Event) -> None:
        if event.step == 5:
            raise Interrupted

    half = Run(begun, CPU)
    with pytest.raises(Interrupted):
        train(half, make_task(painting), stop)
    checkpoints.save(half.checkpoint(), tmp_path / "half.pt")
    resumed = finished(checkpoints.load(tmp_path / "half.pt"), make_task(painting))
    whole = finished(begun, make_task(painting))
    assert saved(resumed, tmp_path / "a.pt") == saved(whole, tmp_path / "b.pt")


def gradient(loss: Tensor, pictures: Tensor) -> Tensor:
    return torch.autograd.grad(loss, pictures, retain_graph=True)[0]


@pytest.mark.parametrize("normalize", [True, False])
def test_the_style_s_gradient_is_normalised_and_the_content_s_is_not(painting, normalize):
    """A normalised gradient has one length, whatever its loss is multiplied by."""
    loss = StylizationLoss(
        vgg16([*LAYERS, "relu2_2"]), painting, LAYERS, "relu2_2", normalize_gradients=normalize
    )
    seen = batch(5, 32, 2).float() / 255
    pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
    layers, content = loss(pictures, loss.target(seen))
    assert set(layers) == set(LAYERS)  # and nothing of the content's layer
    factor = 1 if normalize else 10
    for layer in layers.values():
        ten, one = gradient(10 * layer, pictures), gradient(layer, pictures)
        assert (ten - factor * one).norm() < 1e-4 * ten.norm()
    torch.testing.assert_close(gradient(10 * content, pictures), 10 * gradient(content, pictures))

    features = loss.descriptor(pictures)["relu2_2"]
    plain_content = content_loss(features, loss.descriptor(seen)["relu2_2"])
    assert content.item() == plain_content.item()
    torch.testing.assert_close(gradient(content, pictures), gradient(plain_content, pictures))


def test_the_photo_is_compared_with_its_own_picture(painting):
    """Content is no statistic: another photo's picture, or a moved one, is no better than noise."""
    loss = make_task(painting).shown[0].stylization
    seen = batch(5, 32, 2).float() / 255
    target = loss.target(seen)
    _, itself = loss(seen, target)
    assert itself.item() == 0
    _, swapped = loss(seen.flip(0), target)
    _, moved = loss(seen.roll(8, -1), target)
    assert min(swapped.item(), moved.item()) > 0.1


def test_the_tests_photos_are_a_function_of_stage_and_step():
    stage = TRAINING.stages[0]
    row = list(photos(stage, range(4)))
    assert all(torch.equal(a, b) for a, b in zip(row[2:], photos(stage, [2, 3]), strict=True))
    assert not torch.equal(row[0], row[1])
