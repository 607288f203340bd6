"""The photo at every level: mirrored, averaged in blocks that lie where they lie in the picture."""

import pytest
import torch

from tn_train.config import GeneratorConfig
from tn_train.generator import Generator
from tn_train.pyramid import mirror, pyramid, with_noise

K3, K5 = (GeneratorConfig(widths=(4,) * levels, content_channels=3) for levels in (3, 5))


def photo(height, width, batch=1):
    """Return photos of 256 levels whose averages over blocks of 16 pixels are exact in fp32."""
    rng = torch.Generator().manual_seed(height + width)
    return torch.randint(0, 256, (batch, 3, height, width), generator=rng) / 256


def line(length, begin, end):
    """Return the coordinates that a mirror shows from `begin` to `end` of so many pixels."""
    row = torch.arange(float(length)).expand(1, 1, 1, length)
    mirrored = mirror(row, torch.arange(1), torch.arange(begin, end))
    return mirrored.flatten().int().tolist()


def test_mirroring_repeats_the_edge_pixel():
    assert line(4, -5, 9) == [3, 3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0, 0]


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_mirroring_has_a_period_of_twice_the_length(length):
    there_and_back = [*range(length), *reversed(range(length))]
    assert line(length, -6 * length, 8 * length) == 7 * there_and_back


def test_mirroring_goes_both_ways_and_keeps_batch_and_channels():
    x = photo(3, 5, batch=2)
    whole = mirror(x, torch.arange(-3, 6), torch.arange(-5, 10))
    flipped = torch.cat([x.flip(-1), x, x.flip(-1)], dim=-1)
    assert torch.equal(whole, torch.cat([flipped.flip(-2), flipped, flipped.flip(-2)], dim=-2))


@pytest.mark.parametrize("config", [K3, K5])
@pytest.mark.parametrize("size", [(16, 16), (32, 48), (80, 16)])
def test_shapes_are_what_the_generator_takes(config, size):
    generator = Generator(config)
    noiseless = [(n, 3, h, w) for n, _, h, w in generator.input_shapes(2, *size)]
    assert [tuple(level.shape) for level in pyramid(generator, photo(*size, batch=2))] == noiseless
    window = (-7, 3, *size)
    levels = pyramid(generator, photo(5, 9, batch=2), window)
    assert [tuple(level.shape) for level in levels] == noiseless


def test_a_photo_of_one_pixel_is_one_colour():
    x = photo(1, 1)
    for level in pyramid(Generator(K5), x, (0, 0, 16, 32)):
        assert torch.equal(level, x.expand_as(level))


@pytest.mark.parametrize("config", [K3, K5])
def test_levels_are_averages_of_aligned_blocks(config):
    """Pixel (y, x) of level k is the mean of the 2^k by 2^k pixels from (y, x) * 2^k on."""
    generator, x = Generator(config), photo(32, 48)
    for k, (level, halo) in enumerate(zip(pyramid(generator, x), generator.halos, strict=True)):
        for row in (0, halo, level.shape[-2] - 1):
            for column in (0, halo, halo + 1, level.shape[-1] - 1):
                rows, columns = (
                    torch.arange((place - halo) << k, (place - halo + 1) << k)
                    for place in (row, column)
                )
                block = mirror(x, rows, columns).mean(dim=(-2, -1))
                assert torch.equal(level[..., row, column], block)


@pytest.mark.parametrize("config", [K3, K5])
@pytest.mark.parametrize("corner", [(0, 0), (16, 32), (-32, 16), (48, 64), (-64, 160)])
def test_a_window_is_a_part_of_the_whole(config, corner):
    """A window on the stride's grid, inside, at the edges or beyond them."""
    generator, x = Generator(config), photo(96, 112)
    height, width = 32, 48
    around = (-96, -96, 288, 304)
    parts = pyramid(generator, x, (*corner, height, width))
    for k, (whole, part) in enumerate(zip(pyramid(generator, x, around), parts, strict=True)):
        top, left = ((place + 96) >> k for place in corner)
        rows, columns = part.shape[-2:]
        assert torch.equal(whole[..., top : top + rows, left : left + columns], part)


@pytest.mark.parametrize("config", [K3, K5])
def test_the_halo_is_all_that_a_window_sees(config):
    generator, x = Generator(config), photo(192, 208)
    window = (80, 96, 32, 16)
    top, left, bottom, right = 80 - generator.halo, 96 - generator.halo, 112, 112
    bottom, right = bottom + generator.halo, right + generator.halo
    levels = pyramid(generator, x, window)

    beyond = 1 - x
    beyond[..., top:bottom, left:right] = x[..., top:bottom, left:right]
    others = pyramid(generator, beyond, window)
    assert all(torch.equal(a, b) for a, b in zip(levels, others, strict=True))

    for corner in ((top, left), (bottom - 1, right - 1)):
        within = x.clone()
        within[..., *corner] += 1
        assert not torch.equal(pyramid(generator, within, window)[-1], levels[-1])


def test_the_photo_comes_first_and_then_the_noise():
    generator = Generator(K3)
    photos = pyramid(generator, photo(16, 24))
    noises = [torch.rand(1, K3.noise_channels, *level.shape[-2:]) for level in photos]
    joined = with_noise(photos, noises)
    assert [tuple(level.shape) for level in joined] == generator.input_shapes(1, 16, 24)
    for level, seen, noise in zip(joined, photos, noises, strict=True):
        assert torch.equal(level[:, :3], seen)
        assert torch.equal(level[:, 3:], noise)


def test_photo_and_noise_have_the_same_levels():
    photos = pyramid(Generator(K3), photo(16, 24))
    with pytest.raises(ValueError, match="shorter"):
        with_noise(photos, photos[:2])
