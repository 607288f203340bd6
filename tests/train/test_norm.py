"""Instance normalisation: of the window alone, by statistics that can be shared."""

import pytest
import torch
import torch.nn.functional as F

from tn_train.config import GeneratorConfig
from tn_train.generator import Generator
from tn_train.norm import EPS, Condition, InstanceNorm

MARGIN = 3


def norm(channels=4, margin=0, styles=1):
    """Return a norm whose scale and shift do something."""
    torch.manual_seed(1)
    module = InstanceNorm(channels, margin, styles)
    module.weight.data.uniform_(0.5, 2)
    module.bias.data.uniform_(-1, 1)
    return module.requires_grad_(requires_grad=False).eval()


def features(channels=4, side=12):
    """Return two pictures of unlike contrast and brightness, on channels that differ, too."""
    torch.manual_seed(2)
    x = torch.randn(2, channels, side, side + 5) * torch.tensor([1.0, 7.0]).view(2, 1, 1, 1)
    return x + torch.arange(float(2 * channels)).view(2, channels, 1, 1)


def statistics_of(x):
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
    return torch.stack([mean, variance], dim=2)


def test_without_a_margin_it_is_the_known_norm():
    module, x = norm(), features()
    expected = F.instance_norm(x, weight=module.weight[0], bias=module.bias[0], eps=EPS)
    torch.testing.assert_close(module(x, Condition()), expected)


def test_the_margin_is_normalised_but_not_measured():
    module, x = norm(margin=MARGIN), features()
    window = x[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    condition = Condition()
    y = module(x, condition)
    assert y.shape == x.shape
    torch.testing.assert_close(condition.all(), statistics_of(window))
    expected = F.instance_norm(window, weight=module.weight[0], bias=module.bias[0], eps=EPS)
    torch.testing.assert_close(y[..., MARGIN:-MARGIN, MARGIN:-MARGIN], expected)

    halo = torch.ones_like(x, dtype=torch.bool)
    halo[..., MARGIN:-MARGIN, MARGIN:-MARGIN] = False
    other = module(torch.where(halo, 100 * x, x), Condition())
    assert torch.equal(other[~halo], y[~halo])
    assert not torch.isclose(other[halo], y[halo]).any()


@pytest.mark.parametrize("margin", [0, MARGIN])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_training_it_has_the_same_values_and_the_gradient_of_the_formula(margin, layout):
    module = norm(margin=margin).requires_grad_()
    x = features().to(memory_format=layout).requires_grad_()
    wanted = (x, module.weight, module.bias)
    above = torch.randn_like(x)
    expected = module.eval()(x, Condition())
    found = module.train()(x, Condition())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = torch.autograd.grad(found, wanted, above)
    for gradient, reference in zip(
        gradients, torch.autograd.grad(expected, wanted, above), strict=True
    ):
        torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-4)


def test_given_statistics_are_used_for_all_pictures():
    module, x = norm(), features()
    given = torch.rand(4, 2) + 0.5
    condition = Condition(given=given)
    y = module(x, condition)
    mean, variance = given[..., None, None].unbind(1)  # (C, 1, 1)
    weight, bias = module.weight.view(4, 1, 1), module.bias.view(4, 1, 1)
    expected = (x - mean) / (variance + EPS).sqrt() * weight + bias
    torch.testing.assert_close(y, expected)
    assert torch.equal(condition.all(), torch.stack([given, given]))


@pytest.mark.parametrize("training", [True, False])
def test_each_picture_is_normalised_by_its_own_blend_of_styles(training):
    module, x = norm(styles=3), features()
    style = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    y = module.train(training)(x, Condition(style))
    weight, bias = style @ module.weight, style @ module.bias
    normed = F.instance_norm(x, eps=EPS)
    torch.testing.assert_close(
        y, normed * weight[..., None, None] + bias[..., None, None], rtol=1e-4, atol=1e-5
    )
    even = module(x, Condition())
    torch.testing.assert_close(even, module(x, Condition(torch.full((2, 3), 1 / 3))))


def test_in_training_only_the_style_of_a_picture_learns():
    module, x = norm(styles=3).requires_grad_().train(), features()
    module(x, Condition(torch.tensor([[0.0, 1.0, 0.0]] * 2))).square().sum().backward()
    for parameter in (module.weight, module.bias):
        assert parameter.grad[1].abs().min() > 0
        assert not parameter.grad[[0, 2]].any()


def test_bf16_is_normalised_in_fp32():
    module = norm()
    x = (features() + 300).bfloat16()  # in steps of 2: bf16 has 8 bits
    condition = Condition()
    y = module(x, condition)
    assert y.dtype == condition.all().dtype == torch.float32
    assert torch.equal(y, module(x.float(), Condition()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(x, Condition()), y)


@pytest.fixture
def generator():
    torch.manual_seed(0)
    config = GeneratorConfig(widths=(6, 5, 4), branch=3, content_channels=3, norm="instance")
    return Generator(config).eval().requires_grad_(requires_grad=False)


def pyramid(generator, batch=2):
    rng = torch.Generator().manual_seed(3)
    return [torch.rand(shape, generator=rng) for shape in generator.input_shapes(batch, 16, 24)]


def test_a_network_measures_all_its_channels_in_the_order_it_takes_them(generator):
    taken, condition = [], Condition()
    for module in generator.modules():
        if isinstance(module, InstanceNorm):
            module.register_forward_hook(lambda norm, *_: taken.append(norm.channels))
    generator.run(pyramid(generator), condition)
    # Every block has three norms, every join one on each of its two branches.
    channels = 3 * (6 + 5 + 4 + 3 + 3) + (5 + 3) + (4 + 3)
    assert generator.normalized_channels == sum(taken) == channels
    assert [each.shape for each in condition.used] == [(2, count, 2) for count in taken]
    assert condition.all().shape == (2, channels, 2)


@pytest.mark.parametrize("levels", [3, 5, 6])
def test_every_norm_of_a_network_measures_the_window_and_nothing_around_it(levels):
    config = GeneratorConfig(widths=(4,) * levels, content_channels=3, norm="instance")
    generator, measured = Generator(config), []

    def watch(level):
        def hook(norm, inputs):
            height, width = inputs[0].shape[-2:]
            measured.append((height - 2 * norm.margin, width - 2 * norm.margin))
            assert measured[-1] == (64 >> level, 96 >> level)

        return hook

    for name, module in generator.named_modules():
        if isinstance(module, InstanceNorm):
            place, number, *_ = name.split(".")
            level = levels - 1 if place == "coarsest" else int(number)
            module.register_forward_pre_hook(watch(level))
    with torch.no_grad():
        generator(*(torch.rand(shape) for shape in generator.input_shapes(1, 64, 96)))
    assert set(measured) == {(64 >> level, 96 >> level) for level in range(levels)}


def test_what_was_measured_given_back_changes_nothing(generator):
    levels, measured = pyramid(generator, batch=1), Condition()
    picture = generator.run(levels, measured)
    again = Condition(given=measured.all()[0])
    assert torch.equal(generator.run(levels, again), picture)
    assert torch.equal(again.all(), measured.all())


def test_every_channel_given_counts(generator):
    """No channel is passed over or taken for another: each changes the picture."""
    levels, measured = pyramid(generator, batch=1), Condition()
    picture = generator.run(levels, measured)
    for channel in range(generator.normalized_channels):
        given = measured.all()[0].clone()
        given[channel, 0] += given[channel, 1].sqrt()
        assert not torch.equal(generator.run(levels, Condition(given=given)), picture), channel


def test_pictures_of_a_batch_keep_to_themselves(generator):
    levels = pyramid(generator)
    batch, condition = generator(*levels), Condition()
    generator.run(levels, condition)
    for number in range(2):
        single, own = [level[number : number + 1] for level in levels], Condition()
        torch.testing.assert_close(generator.run(single, own), batch[number : number + 1])
        torch.testing.assert_close(own.all(), condition.all()[number : number + 1])


def test_batch_normalisation_measures_nothing():
    generator = Generator(GeneratorConfig(widths=(6, 5, 4), content_channels=3))
    condition = Condition()
    generator.run(pyramid(generator), condition)
    assert generator.normalized_channels == 0
    assert condition.used == []
