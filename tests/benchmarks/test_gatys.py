"""Optimised pictures: the loss falls, the seed decides, what is interrupted is kept."""

import pytest
import torch
from torch import Tensor

from tn_bench import gatys
from tn_bench.config import Settings
from tn_bench.gatys import (
    CONTENT_LAYER,
    Objective,
    Record,
    Result,
    stylize,
    synthesize,
    synthesize_in_octaves,
)
from tn_bench.picture import to_tensor
from tn_runtime.errors import TrainingError
from tn_train.descriptor import vgg16
from tn_train.interrupt import Interrupted
from tn_train.losses import TextureLoss, total_variation

LAYERS = ("relu1_1", "relu2_1")
SHORT = Settings(steps=12)


@pytest.fixture(scope="module")
def exemplar(grain) -> Tensor:
    return to_tensor(grain)[None, :, :32, :40]


@pytest.fixture(scope="module")
def made(exemplar) -> Result:
    return synthesize(vgg16(LAYERS), exemplar, settings=SHORT)


def test_the_loss_falls_and_every_evaluation_is_recorded(made: Result):
    assert [r.evaluations for r in made.records] == list(range(1, len(made.records) + 1))
    assert len(made.records) <= SHORT.steps
    assert made.loss < 0.2 * made.records[0].loss
    seconds = [record.seconds for record in made.records]
    assert seconds == sorted(seconds)
    assert made.time_to(made.loss).loss <= made.loss
    assert made.time_to(0.0) is None


def test_the_loss_is_that_of_training(exemplar, made: Result):
    training = TextureLoss(vgg16(LAYERS), exemplar, normalize_gradients=True)
    start = gatys.noise(exemplar, exemplar.shape[-2:], SHORT.seed)
    assert sum(training(start).values()).item() == pytest.approx(made.records[0].loss, rel=1e-5)


def test_the_picture_is_in_range_and_of_the_size_asked_for(exemplar, made: Result):
    assert made.picture.shape == exemplar.shape
    assert 0 <= made.picture.min() <= made.picture.max() <= 1
    wide = synthesize(vgg16(LAYERS), exemplar, (16, 48), Settings(steps=2))
    assert wide.picture.shape == (1, 3, 16, 48)


def test_from_coarse_to_fine_each_size_goes_on_from_the_last(exemplar, monkeypatch):
    monkeypatch.setattr(gatys, "COARSEST", 10)
    monkeypatch.setattr(gatys, "LEAST", 8)
    monkeypatch.setattr(gatys, "LAST", 4)
    sizes: dict[int, tuple[int, ...]] = {}
    settings = Settings(steps=30)

    def note(result: Result) -> None:
        sizes[result.records[-1].evaluations] = tuple(result.picture.shape[-2:])

    made = synthesize_in_octaves(vgg16(LAYERS), exemplar, settings, note)
    assert list(dict.fromkeys(sizes.values())) == [(8, 10), (16, 20), (32, 40)]
    assert list(sizes) == list(range(1, len(sizes) + 1))
    assert made.picture.shape == exemplar.shape
    assert made.records[0].evaluations > 16
    plain = synthesize(vgg16(LAYERS), exemplar, settings=Settings(steps=len(made.records)))
    assert made.records[0].loss < plain.records[0].loss
    assert made.loss < made.records[0].loss


def test_a_size_ends_when_nothing_is_gained():
    def records(*totals: float) -> list[Record]:
        return [Record(k, float(k), total, total) for k, total in enumerate(totals)]

    falling = [100 * 0.99**k for k in range(120)]
    assert not gatys._settled(records(*falling))
    assert not gatys._settled(records(*falling[:80], *[falling[80]] * 19))  # too few
    assert gatys._settled(records(*falling[:80], *[falling[80]] * 21))


def test_the_seed_decides(exemplar, made: Result):
    again = synthesize(vgg16(LAYERS), exemplar, settings=SHORT)
    other = synthesize(vgg16(LAYERS), exemplar, settings=Settings(steps=12, seed=1))
    assert torch.equal(again.picture, made.picture)
    assert [r.loss for r in again.records] == [r.loss for r in made.records]
    assert not torch.equal(other.picture, made.picture)


def test_variation_makes_smoother_pictures(exemplar, made: Result):
    smooth = synthesize(vgg16(LAYERS), exemplar, settings=Settings(12, variation_weight=5.0))
    assert total_variation(smooth.picture) < 0.8 * total_variation(made.picture)


def test_colours_stay_in_range_where_the_penalty_asks_for_it(exemplar):
    objective = Objective(vgg16(LAYERS), exemplar, None, Settings(range_weight=2.0))
    free = Objective(vgg16(LAYERS), exemplar, None, Settings(range_weight=0.0))
    beyond = exemplar + 1
    style, total = objective(beyond)
    assert total.item() > style.item()
    assert free(beyond)[1].item() == pytest.approx(style.item())


def test_style_keeps_the_content(exemplar, other_grain):
    content = to_tensor(other_grain)[None]
    descriptor = vgg16((*LAYERS, CONTENT_LAYER))
    style = exemplar.flip(1)
    near = stylize(descriptor, style, content, "content", Settings(9, content_weight=10.0))
    far = stylize(descriptor, style, content, "content", Settings(9, content_weight=0.01))
    assert near.picture.shape == content.shape
    assert far.loss < 0.7 * far.records[0].loss
    assert (near.picture - content).abs().mean() < (far.picture - content).abs().mean()
    from_noise = stylize(descriptor, style, content, "noise", Settings(1))
    assert from_noise.records[0].total > from_noise.records[0].loss
    assert near.records[0].total == pytest.approx(near.records[0].loss)  # it is the content itself


def test_what_is_interrupted_is_kept(exemplar, made: Result):
    seen: list[Result] = []

    def stop(result: Result) -> None:
        seen.append(result)
        if len(result.records) == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        synthesize(vgg16(LAYERS), exemplar, settings=SHORT, report=stop)
    assert [r.loss for r in seen[-1].records] == [r.loss for r in made.records[:5]]
    assert not torch.equal(seen[-1].picture, made.picture)


def test_a_loss_that_is_not_finite_is_an_error(exemplar):
    with pytest.raises(TrainingError, match="the loss is nan after 0 evaluations"):
        synthesize(vgg16(LAYERS), exemplar * float("nan"), settings=SHORT)
