"""Each measure gives its known value on made pictures."""

import numpy as np
import pytest
import torch

from tn_bench.measures.diversity import diversity
from tn_bench.measures.features import FeatureDistance
from tn_bench.measures.patches import PatchDistance, pyramid
from tn_bench.measures.repetition import Repetition, autocorrelation, period
from tn_bench.measures.seam import seam_ratio, usual_ratio
from tn_bench.measures.wasserstein import quantiles, sliced_distance
from tn_bench.picture import enlarged, halves, reduced, to_pixels, to_tensor
from tn_train.descriptor import vgg16

TRAINED, UNSEEN = ("relu1_1", "relu2_1"), ("relu1_2", "relu2_2")
SUMS = ("style, trained layers", "style, unseen layers", "marginals, unseen layers")


@pytest.fixture(scope="module")
def texture(grain):
    return to_tensor(grain)


@pytest.fixture(scope="module")
def sample(other_grain):
    return to_tensor(other_grain)


def constant(texture):
    return texture.mean(dim=(-2, -1), keepdim=True).expand_as(texture)


def shuffled(texture, side):
    """Return the picture with its squares in another order."""
    count = texture.shape[-1] // side
    squares = texture.unfold(1, side, side).unfold(2, side, side).flatten(1, 2)
    squares = squares[:, torch.randperm(count**2, generator=torch.Generator().manual_seed(0))]
    rows = squares.unflatten(1, (count, count)).permute(0, 1, 3, 2, 4)
    return rows.reshape(texture.shape)


# Pictures


def test_pixels_survive(grain):
    assert np.array_equal(to_pixels(to_tensor(grain)), grain)


def test_reduced_and_halves_of_odd_sizes(texture):
    odd = texture[:, :31, :45]
    assert reduced(odd).shape == (3, 15, 22)
    assert [part.shape[1:] for pair in halves(odd) for part in pair] == [
        (15, 45),
        (15, 45),
        (31, 22),
        (31, 22),
    ]
    torch.testing.assert_close(reduced(constant(texture)), constant(texture)[:, :32, :32])


# The sliced Wasserstein distance


def test_sliced_distance_knows_no_order_and_no_number():
    points = torch.randn(8, 500, generator=torch.Generator().manual_seed(0))
    assert sliced_distance(points[:, torch.randperm(500)], points) == 0
    assert sliced_distance(points.repeat(1, 4), points) < 0.01


def test_sliced_distance_is_relative_to_the_spread():
    points = torch.rand(4, 4000, generator=torch.Generator().manual_seed(0)) - 0.5
    assert sliced_distance(torch.zeros(4, 10), points) == pytest.approx(1, abs=0.05)
    assert sliced_distance(points + 0.5, points) == pytest.approx(2, abs=0.05)
    assert sliced_distance(3 * points, points) == pytest.approx(2, abs=0.05)


def test_quantiles():
    row = torch.tensor([[3.0, 0.0, 2.0, 1.0]])
    assert quantiles(row, 4).tolist() == [[0, 1, 2, 3]]
    assert quantiles(row, 2).tolist() == [[0.5, 2.5]]


# Patches


def test_pyramid_adds_up(texture):
    bands = pyramid(texture, 3)
    assert [band.shape[-1] for band in bands] == [64, 32, 16]
    picture = bands[-1]
    for band in reversed(bands[:-1]):
        picture = enlarged(picture, *band.shape[-2:]) + band
    torch.testing.assert_close(picture, texture)


def test_patches(texture, sample):
    distance = PatchDistance(texture, levels=3)
    assert all(value == 0 for value in distance(texture).values())
    assert distance(constant(texture))["patches 1x"] == pytest.approx(1, abs=0.05)
    same = distance(sample)
    assert distance(texture.roll((9, 30), (1, 2)))["patches"] < 0.15
    assert same["patches"] < 0.3
    for spoiled in (texture.flip(0), (texture - 0.2), (texture - 0.5) * 2 + 0.5):
        assert distance(spoiled)["patches"] > 2 * same["patches"]


def test_patches_tell_scales_apart(texture):
    distance = PatchDistance(texture, levels=3)
    rng = torch.Generator().manual_seed(0)
    noisy = distance(texture + 0.05 * torch.randn(texture.shape, generator=rng))
    assert noisy["patches 1x"] > 4 * noisy["patches 4x"]
    blurred = distance(enlarged(reduced(texture), 64, 64))
    assert blurred["patches 1x"] > 0.5
    assert blurred["patches 1x"] > 5 * blurred["patches 2x"]


# Features


@pytest.mark.parametrize("half", [False, True])
def test_features(texture, sample, half: bool):
    descriptor = vgg16([*TRAINED, *UNSEEN])
    distance = FeatureDistance(descriptor, texture, TRAINED, UNSEEN, half=half)
    end = " at 1/2" if half else ""
    itself, shifted, same = map(distance, (texture, texture.roll(20, 1), sample))
    blank, wrong = distance(constant(texture)), distance(texture.flip(0))
    for name in (f"{name}{end}" for name in SUMS):
        assert itself[name] < 1e-6
        assert shifted[name] < same[name] * 1.5
        assert 4 * same[name] < wrong[name]
        assert 4 * same[name] < blank[name]
    layers = [same[f"style {layer}{end}"] for layer in UNSEEN]
    assert same[f"style, unseen layers{end}"] == pytest.approx(sum(layers))


def test_half_size_does_not_see_pixel_noise(texture):
    descriptor = vgg16([*TRAINED, *UNSEEN])
    y, x = np.mgrid[:64, :64]
    hatched = texture + 0.05 * torch.from_numpy((-1.0) ** (x + y)).float()
    full, half = (
        FeatureDistance(descriptor, texture, TRAINED, UNSEEN, half=half)(hatched)
        for half in (False, True)
    )
    assert half["style, trained layers at 1/2"] < 0.02 * full["style, trained layers"]


# Repetition


def test_autocorrelation(texture):
    found = autocorrelation(texture.repeat(1, 2, 2), 64, 64)
    assert found.shape == (129, 129)
    assert found[64, 64].item() == pytest.approx(1, abs=1e-4)
    assert found[0, 64].item() == pytest.approx(1, abs=1e-4)
    assert found[32, 20].item() < 0.3
    torch.testing.assert_close(found, found.flip(0, 1))
    assert autocorrelation(constant(texture), 9, 9).abs().max() < 1e-3


def test_repetition(texture, sample):
    measure = Repetition(texture)
    assert measure(texture)["repetition"] == 0
    assert measure(sample)["repetition"] < 0.3
    assert measure(constant(texture))["repetition"] < 1e-3
    tiled = sample[:, :16, :32].repeat(1, 4, 2)
    assert measure(tiled)["repetition"] > 0.7
    assert Repetition(tiled)(tiled.roll(5, 1))["repetition"] < 0.15


def test_period(texture):
    assert period(texture) is None
    assert period(texture[:, :, :32].repeat(1, 1, 2)) == (0, 32)
    assert period(constant(texture)) is None


# The seam


def test_seam(texture):
    assert seam_ratio(texture) == pytest.approx(1, abs=0.3)  # it is a torus
    assert seam_ratio(texture.roll((9, 30), (1, 2))) == pytest.approx(1, abs=0.3)
    assert seam_ratio(texture[:, :40]) > 2
    assert seam_ratio(texture[:, :, :40]) > 2
    assert seam_ratio(constant(texture)) == 0
    assert 1 < usual_ratio(texture) < 1.5


# Diversity


def test_diversity(texture, sample):
    assert diversity([texture, texture], texture) == pytest.approx(0, abs=1e-6)
    assert diversity([texture, texture.roll((9, 30), (1, 2))], texture) < 1e-6
    assert diversity([texture, sample], texture) == pytest.approx(1, abs=0.2)
    half_alike = diversity([texture, texture, sample], texture)
    assert half_alike == pytest.approx(2 / 3, abs=0.15)
