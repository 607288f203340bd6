"""Winograd's algorithm computes what direct convolution computes, forward and backward."""

import pytest
import torch
import torch.nn.functional as F

from tn_train import descriptor
from tn_train.descriptor import ConvRelu, fast_arithmetic, vgg16
from tn_train.winograd import WinogradConv

SHAPES = [(1, 8, 4, 16, 16), (2, 4, 8, 9, 17), (3, 5, 3, 1, 1), (1, 3, 4, 2, 70), (2, 4, 4, 41, 5)]
"""Pictures, input and output channels, height, width; some take several strips."""


@pytest.mark.parametrize("shape", SHAPES)
def test_it_equals_direct_convolution_in_value_and_gradient(shape: tuple[int, ...]):
    pictures, inputs, outputs, height, width = shape
    torch.manual_seed(0)
    weight, bias = torch.randn(outputs, inputs, 3, 3), torch.randn(outputs)
    x = torch.randn(pictures, inputs, height, width).to(memory_format=torch.channels_last)
    gradient = torch.randn(pictures, outputs, height, width)
    direct = ConvRelu(weight, bias).double()
    exact = x.double().requires_grad_()
    expected = direct(exact)
    expected.backward(gradient.double())
    found = WinogradConv(weight, bias)(x.requires_grad_())
    found.backward(gradient)
    assert x.grad is not None
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=0, atol=1e-4)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch):
    layer = WinogradConv(torch.randn(4, 4, 3, 3), torch.randn(4))
    x = torch.randn(2, 4, 33, 20)
    whole = layer(x)
    monkeypatch.setattr("tn_train.winograd.STRIP", 1)
    torch.testing.assert_close(layer(x), whole, rtol=0, atol=1e-4)


def test_features_are_those_of_direct_convolution():
    exact = vgg16(["relu1_2", "relu4_1"])
    fast = exact.computing("winograd")
    kinds = [type(stage) for name, stage in fast.stages.items() if name.startswith("relu")]
    assert kinds == [ConvRelu] + [WinogradConv] * (len(kinds) - 1)
    pictures = torch.rand(2, 3, 40, 24)
    with torch.no_grad():
        for name, features in exact(pictures).items():
            error = (fast(pictures)[name] - features).norm() / features.norm()
            assert error < 1e-5


def test_the_processor_decides(monkeypatch: pytest.MonkeyPatch):
    for has_bf16, expected in ((True, "bf16"), (False, "winograd")):
        monkeypatch.setattr(descriptor, "_cpu_has_bf16", lambda answer=has_bf16: answer)
        assert fast_arithmetic(torch.device("cpu")) == expected
    assert fast_arithmetic(torch.device("mps")) == "fp32"


def test_gradients_flow_to_the_pictures_alone():
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    layer = WinogradConv(torch.randn(4, 4, 3, 3), torch.randn(4))
    F.mse_loss(layer(x), torch.zeros(1, 4, 8, 8)).backward()
    assert x.grad is not None
    assert not list(layer.parameters())
