"""Fold every BatchNorm of a trained generator into its convolutions, exactly.

A BatchNorm with fixed statistics is a scale and a shift per channel. After a convolution it folds
into that convolution. Before a join's concatenation it folds into the convolution that follows,
which is exact because that convolution is valid: no padding brings in zeros that were never
normalised.
"""

import copy

import torch
from torch import Tensor, nn

from tn_train.generator import Generator, Join


def folded(generator: Generator) -> Generator:
    """Return a copy in evaluation mode that computes the same with convolutions alone."""
    generator = copy.deepcopy(generator).eval().requires_grad_(requires_grad=False)
    for module in generator.modules():
        if isinstance(module, Join):
            _fold_join(module)
    for module in generator.modules():
        if isinstance(module, nn.Sequential):
            _fold_block(module)
    return generator


def _fold_block(block: nn.Sequential) -> None:
    for index in range(len(block) - 1):
        conv, norm = block[index], block[index + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            scale, shift = _affine(norm)
            _set(conv, conv.weight.double() * scale.view(-1, 1, 1, 1), _bias(conv) * scale + shift)
            block[index + 1] = nn.Identity()


def _fold_join(join: Join) -> None:
    norms = (join.coarse_norm, join.branch_norm)
    if not all(isinstance(norm, nn.BatchNorm2d) for norm in norms):
        return
    affine = [_affine(norm) for norm in norms if isinstance(norm, nn.BatchNorm2d)]
    scale, shift = (torch.cat(parts) for parts in zip(*affine, strict=True))
    conv = join.block[0]
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight.double()
    bias = _bias(conv) + (weight * shift.view(1, -1, 1, 1)).sum(dim=(1, 2, 3))
    _set(conv, weight * scale.view(1, -1, 1, 1), bias)
    join.coarse_norm = join.branch_norm = nn.Identity()


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return scale and shift of a BatchNorm in evaluation mode, float64 (C,)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.double()


def _set(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    conv.weight = nn.Parameter(weight.float(), requires_grad=False)
    conv.bias = nn.Parameter(bias.float(), requires_grad=False)
