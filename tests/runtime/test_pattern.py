"""A period stretches a regular pattern: how far, and which sizes fit better."""

import dataclasses

import pytest

from tn_runtime.errors import ModelError, RequestError
from tn_runtime.pattern import LARGEST_PERIOD, advice, stretch
from tn_runtime.requests import check_request
from tn_runtime.session import Model, load
from tn_runtime.spec import ModelSpec

WAVES = ((1 / 50, 0.0), (0.0, 1 / 30))


@pytest.fixture
def model(tiny_model) -> Model:
    return load(tiny_model, "cpu")


@pytest.fixture
def spec(model) -> ModelSpec:
    """Return the spec of a model of tiles, 50 pixels high and 30 wide."""
    return dataclasses.replace(model.spec, waves=WAVES)


def test_without_waves_nothing_is_stretched(model):
    assert stretch(model.spec, (48, 64)) == 0
    assert advice(model.spec, (48, 64)) is None


def test_without_a_period_nothing_is_stretched(spec):
    assert stretch(spec, (0, 0)) == 0


def test_whole_tiles_fit(spec):
    assert stretch(spec, (100, 60)) == pytest.approx(0)
    assert advice(spec, (100, 60)) is None


def test_a_part_of_a_tile_is_stretched_or_cut(spec):
    """128 pixels are 2.56 tiles of 50 pixels: 3 of them."""
    assert stretch(spec, (128, 0)) == pytest.approx(3 / 2.56 - 1)
    assert stretch(spec, (12, 0)) == pytest.approx(1)  # no tile at all


def test_the_advice_names_sizes_that_fit(spec):
    words = advice(spec, (128, 60))
    assert words is not None
    assert "17%" in words
    sides = [int(word) for word in words.split(" height ")[1].split(" or ")]
    assert sides[0] < 128 < sides[1]
    for side in sides:
        assert side % spec.stride == 0
        assert stretch(spec, (side, 60)) <= 0.03


def test_a_period_beyond_what_phases_can_count_is_refused(model, spec):
    regular = dataclasses.replace(model, spec=spec)
    period = LARGEST_PERIOD + spec.stride
    with pytest.raises(RequestError, match=r"at most 2\^31"):
        check_request(regular, (8, 8), [0], (0, 0), (period, 0))
    check_request(model, (8, 8), [0], (0, 0), (period, 0))


@pytest.mark.parametrize("waves", [((0.1,),), ((0.1, 0.2, 0.3),), ((0.0, 0.0),)])
def test_waves_that_cannot_be_are_refused(model, waves):
    text = dataclasses.replace(model.spec, waves=waves).to_json()
    with pytest.raises(ModelError, match="waves"):
        ModelSpec.from_json(text)
