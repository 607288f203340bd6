"""The network is the paper's: its size, its circular convolutions, its noise."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tn_train import torus
from tn_train.config import GeneratorConfig
from tn_train.generator import Generator

K6 = (48, 40, 32, 24, 16, 8)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (GeneratorConfig(), 71_659),
        (GeneratorConfig(widths=K6), 116_915),
        (GeneratorConfig(widths=K6, content_channels=3), 118_211),
        (GeneratorConfig(widths=K6, content_channels=3, norm="instance"), 118_211),
    ],
)
def test_parameter_count(config: GeneratorConfig, count: int):
    assert Generator(config).parameter_count == count


def circular_block(block: nn.Sequential, x: Tensor) -> Tensor:
    for module in block:
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            x = F.pad(x, (1, 1, 1, 1), mode="circular")
        x = module(x)
    return x


def circular(generator: Generator, tori: list[Tensor]) -> Tensor:
    """Run the network as the paper draws it: circular padding before every 3x3 convolution."""
    x = circular_block(generator.coarsest, tori[-1])
    for level in reversed(range(generator.config.levels - 1)):
        join, branch = generator.joins[level], generator.branches[level]
        if level < generator.config.smooth:
            x = F.interpolate(
                F.pad(x, (1, 1, 1, 1), mode="circular"), scale_factor=2, mode="bilinear"
            )
            x = x[..., 2:-2, 2:-2]
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = join.coarse_norm(x)
        y = join.branch_norm(circular_block(branch, tori[level]))
        x = circular_block(join.block, torch.cat([x, y], dim=1))
    return generator.to_rgb(x)


@pytest.mark.parametrize(
    "config", [GeneratorConfig(), GeneratorConfig(widths=K6), GeneratorConfig(widths=K6, smooth=2)]
)
@pytest.mark.parametrize("blocks", [(1, 1), (2, 3), (4, 2)])
def test_wrapped_noise_equals_circular_convolution(config: GeneratorConfig, blocks):
    torch.manual_seed(0)
    generator = Generator(config)
    height, width = (count * config.stride for count in blocks)
    tori = [torch.rand(2, 3, height >> level, width >> level) for level in range(config.levels)]
    with torch.no_grad():
        for _ in range(3):  # statistics other than the initial ones
            generator.train()(*torus.draw(generator, 4, 64, 64, torch.Generator()))
        generator.eval()
        expected = circular(generator, tori)
        made = generator(*torus.wrap(tori, generator.halos))
    assert made.shape == (2, 3, height, width)
    assert (made - expected).abs().max() <= 1e-5


def test_noise_is_uniform_in_shape_and_seeded():
    generator = Generator(GeneratorConfig())
    z = torus.draw(generator, 2, 64, 96, torch.Generator().manual_seed(7))
    assert [level.shape for level in z] == generator.input_shapes(2, 64, 96)
    assert all(level.min() >= 0 and level.max() < 1 for level in z)
    assert abs(z[0].mean() - 0.5) < 0.01
    again = torus.draw(generator, 2, 64, 96, torch.Generator().manual_seed(7))
    other = torus.draw(generator, 2, 64, 96, torch.Generator().manual_seed(8))
    assert all(torch.equal(a, b) for a, b in zip(z, again, strict=True))
    assert not torch.equal(z[0], other[0])


def test_wrap_repeats_tori_smaller_than_the_halo():
    (wrapped,) = torus.wrap([torch.arange(3.0).view(1, 1, 1, 3)], [4])
    assert wrapped.shape == (1, 1, 9, 11)
    assert wrapped[0, 0, 0].tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
