"""The optimisers of generators: Adam, the paper's, or Muon for the kernels of convolutions."""

from typing import Any

import torch
from torch import Tensor, nn

from tn_train.config import OptimizerName

MUON = 2.5
"""Muon's learning rate, of Adam's."""


class Optimizer:
    """Steps down: kernels by Muon (Jordan 2024) or Adam, norms and biases by Adam.

    Muon turns the momentum of a matrix into the nearest orthogonal one, so that all its directions
    move alike.
    """

    def __init__(self, generator: nn.Module, learning_rate: float, name: OptimizerName) -> None:
        """Take the parameters of a generator in channels_last memory, on its final device."""
        of_muon = [p for p in generator.parameters() if p.ndim == 4 and name == "muon"]
        rest = [p for p in generator.parameters() if p.ndim != 4 or name == "adam"]
        # torch's Muon takes matrices only: these share their memory with the kernels.
        self.kernels = [(kernel, nn.Parameter(_matrix(kernel.data))) for kernel in of_muon]
        self.parts: dict[str, tuple[torch.optim.Optimizer, float]] = {
            "adam": (torch.optim.Adam(rest, learning_rate), 1.0)
        }
        if self.kernels:
            matrices = [matrix for _, matrix in self.kernels]
            muon = torch.optim.Muon(matrices, MUON * learning_rate, weight_decay=0.0)
            self.parts["muon"] = muon, MUON

    def step(self, learning_rate: float) -> None:
        """Take a step down the gradients."""
        for kernel, matrix in self.kernels:
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        for optimizer, factor in self.parts.values():
            for group in optimizer.param_groups:
                group["lr"] = factor * learning_rate
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {name: optimizer.state_dict() for name, (optimizer, _) in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; what is wrong with the state, torch says in its own errors."""
        for name, (optimizer, _) in self.parts.items():
            optimizer.load_state_dict(state[name])


def _matrix(kernel: Tensor) -> Tensor:
    """Return a kernel (O, I, h, w) as (O, h w I), which is a view of channels_last memory."""
    return kernel.permute(0, 2, 3, 1).flatten(1)
