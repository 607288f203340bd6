"""The optimisers of generators: Adam, the paper's, or Muon for the kernels of convolutions."""

from typing import Any

import torch
from torch import Tensor, nn

from tn_train.config import OptimizerName
from tn_train.generator import Generator


class Optimizer:
    """Steps down: kernels by Muon (Jordan 2024) or Adam; norms, biases and the last layer by Adam.

    Muon turns the momentum of a matrix into the nearest orthogonal one, so that all its directions
    move alike.
    """

    def __init__(self, generator: Generator, learning_rate: float, name: OptimizerName) -> None:
        """Take the parameters of a generator in channels_last memory, on its final device.

        Raises:
            RuntimeError: the memory is in another order, and Muon's steps would not reach it.
        """
        trained = [p for p in generator.parameters() if p.requires_grad]
        of_muon: list[Tensor] = []
        if name == "muon":
            last = generator.to_rgb.weight
            of_muon = [p for p in trained if p.ndim == 4 and p is not last]
        taken = {id(kernel) for kernel in of_muon}
        rest = [p for p in trained if id(p) not in taken]
        # torch's Muon takes matrices only: these share their memory with the kernels.
        self.kernels = [
            (kernel, nn.Parameter(_rows(kernel.data).view(len(kernel), -1))) for kernel in of_muon
        ]
        self.parts: dict[str, torch.optim.Optimizer] = {
            "adam": torch.optim.Adam(rest, learning_rate)
        }
        if self.kernels:
            matrices = [matrix for _, matrix in self.kernels]
            self.parts["muon"] = torch.optim.Muon(matrices, learning_rate, weight_decay=0.0)

    def step(self, learning_rate: float) -> None:
        """Take a step down the gradients."""
        for kernel, matrix in self.kernels:
            matrix.grad = None if kernel.grad is None else _rows(kernel.grad).flatten(1)
        for optimizer in self.parts.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {name: optimizer.state_dict() for name, optimizer in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; torch raises its own errors where the state does not fit."""
        for name, optimizer in self.parts.items():
            optimizer.load_state_dict(state[name])


def _rows(kernel: Tensor) -> Tensor:
    """Return a kernel (O, I, h, w) as (O, h, w, I), the order of channels_last memory."""
    return kernel.permute(0, 2, 3, 1)
