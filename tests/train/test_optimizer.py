"""The optimisers: which parameters move, and how."""

import copy

import pytest
import torch

from tn_train.config import GeneratorConfig
from tn_train.generator import Generator
from tn_train.optimizer import Optimizer

RATE = 0.01


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(GeneratorConfig(widths=(8, 8), branch=4))
    for parameter in made.parameters():
        parameter.grad = torch.randn_like(parameter)
    return made.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["muon", "adam"])
def test_a_step_moves_every_parameter(generator: Generator, name):
    before = [parameter.detach().clone() for parameter in generator.parameters()]
    Optimizer(generator, RATE, name).step(RATE)
    for old, new in zip(before, generator.parameters(), strict=True):
        assert (old != new).all()


def test_muon_moves_all_directions_of_a_kernel_alike(generator: Generator):
    """Whatever the spread of the gradient's singular values, here a thousandfold."""
    kernel = max((p for p in generator.parameters() if p.ndim == 4), key=torch.Tensor.numel)
    directions = torch.logspace(0, -3, len(kernel))
    kernel.grad = torch.einsum("o,oihw->oihw", directions, kernel.grad)
    before = kernel.detach().clone()
    Optimizer(generator, RATE, "muon").step(RATE)
    steps = torch.linalg.svdvals((kernel.detach() - before).flatten(1)) / RATE
    assert steps.max() < 1.3
    assert steps.min() > 0.3


def test_memory_that_muon_cannot_share_is_refused(generator: Generator):
    with pytest.raises(RuntimeError, match="view"):
        Optimizer(generator.to(memory_format=torch.contiguous_format), RATE, "muon")


def test_a_state_goes_on_where_it_was(generator: Generator):
    first = Optimizer(generator, RATE, "muon")
    first.step(RATE)
    weights = {name: value.clone() for name, value in generator.state_dict().items()}
    second = Optimizer(generator, RATE, "muon")
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    results = []
    for optimizer in (first, second, Optimizer(generator, RATE, "muon")):
        generator.load_state_dict(weights)
        optimizer.step(RATE)
        results.append(torch.cat([p.detach().flatten() for p in generator.parameters()]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])  # that one began afresh
