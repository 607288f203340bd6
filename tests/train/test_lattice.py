"""The lattice of a regular exemplar: it is found and kept, and irregular exemplars have none."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny import TINY, untrained
from tn_train.config import Wave
from tn_train.generator import Generator
from tn_train.lattice import LatticeLoss, find_waves
from tn_train.optimizer import Optimizer
from tn_train.refinement import with_fine_level
from tn_train.sampling import draw
from tn_train.waves import HALF_TURN, TURN, wave, wave_vectors, waves


def tiles(vertical: float, horizontal: float, *, uneven: bool = False) -> Tensor:
    """Return tiles of many colours with dark joints, (1, 3, 256, 256).

    The joints lie on a lattice; if uneven, those of a row are of many lengths.
    """
    height = width = 256
    rng = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    row = (y / vertical).long()
    if uneven:
        lengths = (0.3 + 1.4 * torch.rand(height, 8, generator=rng)).repeat_interleave(32, dim=1)
        x = lengths.cumsum(dim=1)[row, x] + (100 * torch.rand(height, generator=rng))[row]
    column = (x / horizontal).long()
    colors = 0.5 + 0.3 * torch.rand(3, 200, 200, generator=rng)
    picture = colors[:, row, column]
    joint = (y % vertical < 3) | (x % horizontal < 3)
    noise = 0.05 * torch.rand(3, height, width, generator=rng)
    return (torch.where(joint, torch.tensor(0.1), picture) + noise)[None]


def stones(height: int = 256, width: int = 256, seed: int = 0) -> Tensor:
    """Return blobs of one size without any order, (1, 3, H, W)."""
    noise = torch.rand(1, 3, height + 24, width + 24, generator=torch.Generator().manual_seed(seed))
    coarse = F.avg_pool2d(F.avg_pool2d(noise, 13, 1), 13, 1)
    fine = F.avg_pool2d(F.avg_pool2d(noise, 3, 1), 23, 1)
    return 0.5 + 20 * (coarse - fine)


def cycles(found: tuple[Wave, ...], side: int) -> list[tuple[float, float]]:
    return [(each.y / HALF_TURN * side, each.x / HALF_TURN * side) for each in found]


@pytest.mark.parametrize(("vertical", "horizontal"), [(32, 40), (21.3, 34.1), (16, 16)])
def test_waves_of_tiles_are_found(vertical, horizontal):
    found = cycles(find_waves(tiles(vertical, horizontal)), 256)
    assert len(found) == 2
    for y, x in found:  # whole multiples of the lattice's own
        down, across = y * vertical / 256, x * horizontal / 256
        assert abs(down - round(down)) < 0.03
        assert abs(across - round(across)) < 0.03
    (a, b), (c, d) = found
    assert abs(a * d - b * c) > 1  # in two directions


def test_courses_alone_have_one_wave():
    [(y, x)] = cycles(find_waves(tiles(32, 45, uneven=True)), 256)
    assert y == pytest.approx(8, abs=0.1)
    assert x == pytest.approx(0, abs=0.1)


def test_ornaments_that_alternate_have_the_waves_that_tell_them_apart():
    """Large and small ones in turns, row by row: the strongest waves take them for the same."""
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    down, across = 2 * math.pi * y / 32, 2 * math.pi * x / 16
    rhombs = down.cos() * across.cos() + 0.4 * down.cos() + 0.3 * across.cos()
    found = cycles(find_waves((0.5 + 0.2 * rhombs).expand(1, 3, 256, 256)), 256)
    assert sorted(found) == [pytest.approx((0, 16), abs=0.1), pytest.approx((8, 0), abs=0.1)]


@pytest.mark.parametrize("seed", range(4))
def test_stones_have_no_waves(seed):
    assert find_waves(stones(seed=seed)) == ()


@pytest.mark.parametrize("picture", [torch.full((1, 3, 64, 64), 0.5), torch.zeros(1, 3, 32, 200)])
def test_a_flat_picture_has_no_waves(picture):
    assert find_waves(picture) == ()


def pattern(those: tuple[Wave, ...], turns: float, amplitude: float = 0.3) -> Tensor:
    start = np.full((1, len(those)), int(turns * TURN), np.uint32)
    plane = waves(those, 0, start, (np.arange(96), np.arange(80)))[:, : len(those)].sum(axis=1)
    return torch.from_numpy(0.5 + amplitude * plane)[:, None].expand(1, 3, 96, 80)


WAVES = (wave(0.08, 0.01), wave(0.0, 0.11))


def test_the_loss_is_zero_where_the_pattern_goes_on():
    """Elsewhere on the plane, and with other wave vectors."""
    loss = LatticeLoss(pattern(WAVES, 0), WAVES)
    start = torch.full((1, 2), 0.3, dtype=torch.float64)
    assert loss(pattern(WAVES, 0.3), WAVES, start).item() < 1e-4
    stretched = (wave(0.083, 0.01), wave(0.0, 0.106))
    assert loss(pattern(stretched, 0.3), stretched, start).item() < 1e-4


def test_harmonics_that_pixels_do_not_show_are_not_compared():
    those = (wave(1 / 5, 0), wave(0, 0.11))  # the fourth harmonic of 5 pixels would be an alias
    loss = LatticeLoss(pattern(those, 0), those)
    start = torch.full((1, 2), 0.3, dtype=torch.float64)
    assert loss(pattern(those, 0.3), those, start).item() < 1e-3
    stretched = (wave(0.205, 0), wave(0, 0.107))
    assert loss(pattern(stretched, 0.3), stretched, start).item() < 1e-3


def test_the_loss_is_the_squared_difference_of_the_patterns():
    loss = LatticeLoss(pattern(WAVES, 0), WAVES)
    nothing = torch.zeros(1, 2, dtype=torch.float64)
    # Of two sines of 0.3, half a turn apart: each differs by a sine of 0.6.
    assert loss(pattern(WAVES, 0.5), WAVES, nothing).item() == pytest.approx(2 * 0.18, rel=0.02)
    flat = torch.full((1, 3, 96, 80), 0.5)
    assert loss(flat, WAVES, nothing).item() == pytest.approx(2 * 0.045, rel=0.02)


def test_the_loss_leads_to_the_pattern():
    loss = LatticeLoss(pattern(WAVES, 0), WAVES)
    picture = torch.full((1, 3, 96, 80), 0.5, requires_grad=True)
    start = torch.zeros(1, 2, dtype=torch.float64)
    loss(picture, WAVES, start).backward()
    down = -picture.grad[0, 0] - (-picture.grad[0, 0]).mean()
    wanted = pattern(WAVES, 0)[0, 0] - 0.5
    middle = (slice(24, 72), slice(20, 60))
    correlation = np.corrcoef(down[middle].flatten(), wanted[middle].flatten())[0, 1]
    assert correlation > 0.9


CONFIG = dataclasses.replace(TINY, waves=WAVES)


def test_levels_from_the_second_on_take_the_waves():
    assert [CONFIG.input_channels(level) for level in range(3)] == [3, 7, 7]
    shapes = Generator(CONFIG).input_shapes(1, 32, 32)
    assert [shape[1] for shape in shapes] == [3, 7, 7]


def test_a_sample_shows_its_waves():
    generator = untrained(CONFIG)
    sample = draw(generator, 2, 32, 40, torch.Generator().manual_seed(0))
    assert sample.waves == WAVES
    assert [tuple(level.shape) for level in sample.pyramid] == generator.input_shapes(2, 32, 40)
    halo = generator.halos[1]
    y = torch.arange(16)[:, None] * 2 + 0.5  # pixels of the picture
    x = torch.arange(20) * 2 + 0.5
    for number, each in enumerate(WAVES):
        turns = (each.y * y + each.x * x) / HALF_TURN + sample.offsets[:, number, None, None]
        shown = sample.pyramid[1][:, 3 + number, halo:-halo, halo:-halo]
        assert (shown - torch.sin(2 * math.pi * turns)).abs().max() < 0.003


def test_a_level_does_not_see_waves_that_repeat_after_few_of_its_pixels():
    exact, longer, slanted = wave(1 / 8, 0), wave(0, 1 / 10), wave(1 / 8, 1 / 10)
    generator = Generator(dataclasses.replace(TINY, waves=(exact, longer, slanted)))
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own
    rng = torch.Generator().manual_seed(0)
    optimizer = Optimizer(generator, 0.01, "muon")
    for _ in range(3):
        sample = draw(generator, 2, 32, 40, rng, jitter=0.03)
        generator(*sample.pyramid).square().mean().backward()
        optimizer.step(0.01)
    silent, seen = [3, 6], [4, 5, 7, 8]  # the sines, and the cosines
    for level, block in ((1, generator.branches[1]), (2, generator.coarsest)):
        assert not sample.pyramid[level][:, silent].any()
        assert not block[0].weight[:, silent].any()
        assert sample.pyramid[level][:, seen].all()
        assert block[0].weight[:, seen].all()


def test_jitter_changes_the_waves_a_little():
    generator = untrained(CONFIG)
    rng = torch.Generator().manual_seed(0)
    vectors = [draw(generator, 1, 32, 32, rng, jitter=0.05).waves for _ in range(20)]
    relative = torch.tensor([each[0].y / WAVES[0].y for each in vectors])
    assert relative.min() >= 0.95
    assert relative.max() <= 1.05
    assert relative.std() > 0.01


def test_a_fine_level_leaves_the_waves_where_they_are():
    coarse = untrained(CONFIG)
    fine = with_fine_level(coarse).eval()
    assert [fine.config.input_channels(level) for level in range(4)] == [3, 3, 7, 7]
    for (y, x), (v, u) in zip(wave_vectors(fine.config), wave_vectors(CONFIG), strict=True):
        assert (y, x) == (v / 2, u / 2)
