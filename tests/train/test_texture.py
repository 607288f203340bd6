"""What a texture generator is measured by."""

import torch
from torch import Tensor

from tn_train.checkpoint import Checkpoint
from tn_train.generator import Generator
from tn_train.texture import TextureTask


class HalfFlat(Generator):
    """The second picture of each batch is one grey."""

    def forward(self, *noise: Tensor) -> Tensor:
        pictures = super().forward(*noise).clone()
        pictures[1:] = 0.5
        return pictures


def test_one_flat_sample_of_two_is_noticed(fresh: Checkpoint, task: TextureTask):
    torch.manual_seed(0)
    generator = Generator(fresh.config)
    with torch.no_grad():
        generator.to_rgb.weight *= 10
    half = HalfFlat(fresh.config)
    half.load_state_dict(generator.state_dict())
    assert not task.evaluate(generator).flat
    assert task.evaluate(half).flat
