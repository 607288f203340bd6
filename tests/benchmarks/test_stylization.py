"""The score of stylised photos: what each part sees, and what it does not."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tn_bench.measures.stylization import LAYERS, Stylization
from tn_train.descriptor import vgg16


def smooth(seed: int, cells: int) -> Tensor:
    """Return soft patches of colour, (3, 64, 64)."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, cells, cells, generator=rng)
    return F.interpolate(coarse, 64, mode="bicubic")[0].clamp(0, 1)


@pytest.fixture(scope="module")
def painting() -> Tensor:
    """Diagonal stripes, black and white."""
    rows = torch.arange(64)
    return ((rows[:, None] + rows) // 4 % 2).float().expand(3, 64, 64)


@pytest.fixture(scope="module")
def score(painting: Tensor) -> Stylization:
    return Stylization(vgg16(LAYERS), painting)


def test_the_photo_itself_has_no_hand(score: Stylization):
    photo = smooth(0, 4)
    found = score(photo, photo)
    assert found.hand == 0
    assert found.tones == pytest.approx(1)
    assert found.total == 0


def test_the_painting_itself_has_all_of_the_hand_and_nothing_of_the_photo(
    score: Stylization, painting: Tensor
):
    found = score(painting, smooth(0, 4))
    assert found.hand == pytest.approx(1)
    assert found.contrast == pytest.approx(1)
    assert found.tones < 0.2


def test_strokes_over_a_photo_are_better_than_a_tint_or_noise(score: Stylization, painting: Tensor):
    photo = smooth(0, 4)
    painted = (photo + 0.5 * (painting - 0.5)).clamp(0, 1)
    tinted = photo * torch.tensor([0.9, 0.9, 1.0]).view(3, 1, 1)
    noisy = (photo + 0.2 * torch.randn(3, 64, 64)).clamp(0, 1)
    totals = [score(each, photo).total for each in (painted, tinted, noisy)]
    assert totals[0] > 2 * max(totals[1:])


def test_tones_are_ranks(score: Stylization):
    photo = smooth(0, 4)
    assert score(photo.square(), photo).tones > 0.99
    assert score(1 - photo, photo).tones == 0


def test_less_contrast_than_the_painting_counts_and_more_does_not(score: Stylization):
    photo = smooth(0, 4)
    faint = 0.5 + 0.1 * (photo - 0.5)
    assert score(faint, photo).contrast < 0.2
    assert score((photo > 0.5).float(), photo).contrast <= 1
