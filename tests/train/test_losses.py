"""Gram matrices, the authors' gradient normalisation, and the loss they make."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tn_runtime.errors import RequestError
from tn_train.descriptor import BLOCKS, Descriptor, stride, vgg16, vgg19
from tn_train.losses import (
    DetailLoss,
    OctavesLoss,
    StyleLoss,
    TextureLoss,
    content_loss,
    gram_matrix,
    grid_penalty,
    normalize_gradient,
    range_penalty,
    tone_loss,
    tones,
    total_variation,
)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_matrix(layout: torch.memory_format):
    features = torch.randn(2, 5, 4, 6).to(memory_format=layout)
    gram = gram_matrix(features)
    flat = features.flatten(2)
    expected = torch.einsum("nip,njp->nij", flat, flat) / (5 * 4 * 6)
    torch.testing.assert_close(gram, expected)


def test_gram_matrix_of_bf16_is_fp32_and_does_not_overflow():
    gram = gram_matrix(torch.full((1, 4, 32, 32), 15_000.0, dtype=torch.bfloat16))
    assert gram.dtype == torch.float32
    assert gram[0, 0, 0].item() == pytest.approx(15_000.0**2 / 4, rel=1e-2)


def test_normalized_gradient_is_divided_by_its_l1_norm_over_the_batch():
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    y = normalize_gradient(x, strength=2.5)
    assert torch.equal(y, x)
    (gradient,) = torch.autograd.grad((y * weight).sum(), x)
    torch.testing.assert_close(gradient, weight / (weight.abs().sum() + 1e-8) * 2.5)


def test_a_zero_gradient_stays_zero():
    x = torch.randn(4, requires_grad=True)
    (gradient,) = torch.autograd.grad((normalize_gradient(x) * 0).sum(), x)
    assert torch.equal(gradient, torch.zeros(4))


def test_gradients_of_deeper_layers_pass_unnormalized():
    """Each layer's own gradient has norm 1 at its features; what comes from below is added."""
    x = torch.randn(6, requires_grad=True)
    shallow, deep = torch.randn(6), torch.randn(6)
    features = x * 3
    deeper = features**2
    loss = (normalize_gradient(features) * shallow).sum() + (
        normalize_gradient(deeper) * deep
    ).sum()
    (gradient,) = torch.autograd.grad(loss, x)
    at_features = shallow / shallow.abs().sum() + deep / deep.abs().sum() * 2 * features.detach()
    torch.testing.assert_close(gradient, 3 * at_features)


def test_style_loss_is_the_relative_squared_distance():
    target = gram_matrix(torch.randn(1, 4, 8, 8))
    features = torch.randn(3, 4, 6, 6)
    expected = (gram_matrix(features) - target).square().mean() / target.square().mean()
    for normalize in (False, True):
        loss = StyleLoss(target, normalize_gradients=normalize)(features)
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_the_style_loss(layout: torch.memory_format):
    target = gram_matrix(torch.randn(1, 4, 8, 8))
    features = torch.randn(3, 4, 6, 5).to(memory_format=layout).requires_grad_()
    plain = (gram_matrix(features) - target).square().mean() / target.square().mean()
    (expected,) = torch.autograd.grad(3 * plain, features)
    losses = [StyleLoss(target, normalize_gradients=which, strength=2.5) for which in (False, True)]
    found, normalized = (torch.autograd.grad(3 * loss(features), features)[0] for loss in losses)
    torch.testing.assert_close(found, 2.5 * expected)
    torch.testing.assert_close(normalized, expected / expected.abs().sum() * 2.5)


def test_the_gradient_of_a_bf16_feature_is_bf16():
    features = torch.randn(1, 4, 6, 5, dtype=torch.bfloat16, requires_grad=True)
    target = gram_matrix(torch.randn(1, 4, 8, 8))
    StyleLoss(target, normalize_gradients=True)(features).backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.bfloat16


def test_texture_loss_is_zero_for_the_exemplar_only(exemplar: Tensor):
    loss = TextureLoss(vgg16(["relu2_1", "relu1_1"]), exemplar, normalize_gradients=True)
    itself, other = loss(exemplar), loss(torch.rand(2, 3, 32, 32))
    assert list(itself) == ["relu1_1", "relu2_1"]
    assert all(value.item() < 1e-10 for value in itself.values())
    assert all(value.item() > 1e-3 for value in other.values())


def test_a_weight_is_the_strength_of_a_layers_gradient(exemplar: Tensor):
    descriptor = vgg16(["relu1_1"])
    gradients = []
    for weights in ({}, {"relu1_1": 2.5}):
        pictures = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        loss = TextureLoss(descriptor, exemplar, normalize_gradients=True, weights=weights)
        (value,) = loss(pictures.requires_grad_()).values()
        gradients.append(torch.autograd.grad(value, pictures)[0])
    torch.testing.assert_close(gradients[1], 2.5 * gradients[0])


def test_octaves_compare_what_is_reduced(exemplar: Tensor):
    """Wrong pixels that are right once reduced are right to all octaves but the first."""
    descriptor = vgg16(["relu1_1", "relu2_1"])
    loss = OctavesLoss(descriptor, exemplar, octaves=3, normalize_gradients=True)
    assert loss.scales == [2, 4]
    checkerboard = 0.5 * (-1) ** (torch.arange(48) + torch.arange(40)[:, None])
    full = TextureLoss(descriptor, exemplar, normalize_gradients=True)
    assert max(loss(exemplar + checkerboard).values()).item() < 1e-8
    assert full(exemplar + checkerboard)["relu2_1"].item() > 0.01
    assert loss(exemplar.roll(1, dims=1))["at 1/4"].item() > 0.01
    halves = TextureLoss(descriptor, F.avg_pool2d(exemplar, 2), normalize_gradients=True)
    one = OctavesLoss(descriptor, exemplar, octaves=2, normalize_gradients=True)
    pictures = torch.rand(2, 3, 32, 32)
    expected = sum(halves(F.avg_pool2d(pictures, 2)).values())
    torch.testing.assert_close(one(pictures), {"at 1/2": expected})


def test_octaves_end_where_the_exemplar_does():
    loss = OctavesLoss(
        vgg16(["relu3_1"]), torch.rand(1, 3, 20, 9), octaves=9, normalize_gradients=True
    )
    assert loss.scales == [2]
    none = OctavesLoss(
        vgg16(["relu3_1"]), torch.rand(1, 3, 20, 7), octaves=9, normalize_gradients=True
    )
    assert none(torch.rand(1, 3, 16, 16)) == {}


def test_detail_loss_sees_hatching_that_hardly_changes_a_picture(exemplar: Tensor):
    smooth = F.avg_pool2d(F.pad(exemplar, (4, 4, 4, 4), mode="reflect"), 9, stride=1)
    loss = DetailLoss(smooth)
    height, width = smooth.shape[-2:]
    hatching = 0.02 * (-1) ** (torch.arange(width) + torch.arange(height)[:, None])
    assert loss(smooth).item() < 1e-8
    assert loss(smooth + hatching).item() > 1
    assert loss(smooth.flip(-1)).item() < loss(smooth + hatching).item() / 100


def test_detail_loss_has_a_gradient_of_its_strength_and_takes_flat_exemplars():
    pictures = torch.rand(2, 3, 12, 12, requires_grad=True)

    def gradient(strength: float) -> Tensor:
        loss = DetailLoss(torch.full((1, 3, 16, 16), 0.5), strength)
        return torch.autograd.grad(loss(pictures), pictures)[0]

    assert gradient(2.0).abs().sum() > 0
    torch.testing.assert_close(gradient(4.0), 2 * gradient(2.0))


def test_range_penalty():
    pictures = torch.tensor([-1.0, 0.0, 0.5, 1.0, 3.0])
    assert range_penalty(pictures).item() == pytest.approx((1 + 4) / 5)


def test_content_loss_is_the_relative_squared_distance_in_place():
    target = torch.randn(1, 4, 6, 6)
    assert content_loss(target, target).item() == 0
    torch.testing.assert_close(content_loss(3 * target, target), torch.tensor(4.0))
    assert content_loss(target.roll(1, -1), target).item() > 1  # the Gram matrix would not notice


def test_total_variation():
    ramp = torch.arange(5.0).expand(2, 3, 4, 5)
    assert total_variation(torch.ones(1, 3, 4, 4)).item() == 0
    assert total_variation(2 * ramp).item() == pytest.approx(4)
    assert total_variation(torch.cat([ramp, ramp + 3], dim=-2)).item() == pytest.approx(9 / 7 + 1)


def test_tones_are_light_and_dark_whatever_the_contrast_and_the_strokes():
    photo = torch.rand(2, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    target = tones(photo)
    assert target.shape == (2, 1, 16, 16)
    strokes = 0.3 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    assert tone_loss(0.2 + 0.5 * photo + strokes, target).item() < 0.02
    assert tone_loss(1 - photo, target).item() == pytest.approx(2, rel=0.3)
    assert tone_loss(photo.flip(0), target).item() == pytest.approx(1, rel=0.3)
    flat = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    tone_loss(flat, tones(flat.detach())).backward()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_average_pooling():
    layers = ["relu1_1", "pool1"]
    picture = torch.rand(1, 3, 16, 16)
    features = vgg16(["relu1_2"])(picture)["relu1_2"]
    average = vgg16(layers, pooling="average")(picture)["pool1"]
    torch.testing.assert_close(average, torch.nn.functional.avg_pool2d(features, 2))


def test_descriptor_has_the_shapes_of_its_layers_and_stops_at_the_deepest():
    descriptor = vgg16(["relu1_2", "pool1", "relu3_1"])
    features = descriptor(torch.rand(2, 3, 32, 24))
    assert {name: tuple(f.shape) for name, f in features.items()} == {
        "relu1_2": (2, 64, 32, 24),
        "pool1": (2, 64, 16, 12),
        "relu3_1": (2, 256, 8, 6),
    }
    assert list(descriptor.stages)[-1] == "relu3_1"
    assert descriptor.stride == 4
    assert not any(parameter.requires_grad for parameter in descriptor.parameters())


def test_features_do_not_depend_on_how_far_away_the_border_is():
    """The picture is flat; zeros at its border would change its features."""
    descriptor = vgg16(["relu1_1", "relu4_1"])
    small, large = (descriptor(torch.full((1, 3, side, side), 0.7)) for side in (32, 64))
    for name, features in small.items():
        expected = gram_matrix(large[name])
        assert (gram_matrix(features) - expected).norm() < 1e-4 * expected.norm()


def test_bf16_features_are_near_fp32():
    pictures = torch.rand(1, 3, 32, 32)
    descriptor = vgg16(["relu2_1"])
    exact, fast = descriptor(pictures), descriptor.computing("bf16")(pictures)
    assert fast["relu2_1"].dtype == torch.bfloat16
    error = (gram_matrix(fast["relu2_1"]) - gram_matrix(exact["relu2_1"])).norm()
    assert error < 0.02 * gram_matrix(exact["relu2_1"]).norm()


def test_strides():
    assert stride("vgg16", ["relu1_2"]) == 1
    assert stride("vgg16", ["relu4_1", "relu1_1"]) == 8
    assert stride("vgg19", ["relu5_1"]) == 16


def test_unknown_layers_are_answered_with_the_valid_ones():
    with pytest.raises(RequestError, match=r"no layer relu9_9; its layers are relu1_1, relu1_2"):
        vgg16(["relu1_1", "relu9_9"])
    with pytest.raises(RequestError, match="its layers are"):
        vgg16([])


def make_vgg19() -> dict[str, Tensor]:
    weights, channels, index = {}, 3, 0
    for block, convolutions in enumerate(BLOCKS["vgg19"]):
        width = min(64 << block, 512)
        for _ in range(convolutions):
            weights[f"features.{index}.weight"] = torch.randn(width, channels, 3, 3) * 0.02
            weights[f"features.{index}.bias"] = torch.zeros(width)
            channels, index = width, index + 2
        index += 1
    return weights


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg19_from_a_file(tmp_path, suffix):
    from safetensors.torch import save_file

    weights = make_vgg19()
    path = tmp_path / f"vgg19{suffix}"
    (torch.save if suffix == ".pth" else save_file)(weights, path)
    descriptor = vgg19(path, ["relu1_1", "relu5_1"])
    assert isinstance(descriptor, Descriptor)
    assert descriptor(torch.rand(1, 3, 16, 16))["relu5_1"].shape == (1, 512, 1, 1)
    last = descriptor.stages["relu5_1"].convolution.weight
    torch.testing.assert_close(last, weights["features.28.weight"], check_stride=False)


def test_files_that_are_no_vgg19(tmp_path):
    wrong = tmp_path / "wrong.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, wrong)
    with pytest.raises(RequestError, match="not a VGG-19"):
        vgg19(wrong, ["relu1_1"])
    for name in ("text.pth", "text.safetensors", "empty.pth", "empty.safetensors"):
        path = tmp_path / name
        path.write_bytes(b"not weights" if name.startswith("text") else b"")
        with pytest.raises(RequestError, match=r"not a \.pth or \.safetensors"):
            vgg19(path, ["relu1_1"])


def test_a_grid_is_told_from_noise():
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 128, 128, generator=rng)
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    board = 0.1 * ((y + x) % 2)
    lines = noise * (0.5 + y % 2)  # no change of colour, but of contrast
    assert grid_penalty(noise) < 0.01
    assert grid_penalty(torch.full((1, 3, 16, 16), 0.5)) < 0.01
    assert grid_penalty(noise + board) > 3 * grid_penalty(noise)
    assert grid_penalty(0.5 + board.expand(1, 3, 128, 128)) > 0.5
    assert grid_penalty(lines) > 0.1
    shifted = (noise + board)[..., 1:-1, 1:-1]
    assert abs(grid_penalty(shifted) / grid_penalty(noise + board) - 1) < 0.1
