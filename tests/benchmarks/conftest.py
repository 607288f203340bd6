"""Made pictures whose measures are known beforehand."""

import numpy as np
import pytest
import torch

from tn_runtime.pixels import Pixels

torch.set_num_threads(1)  # these pictures are too small for more


def make_grain(seed: int) -> Pixels:
    """Make smooth coloured noise, uint8 (64, 64, 3), a torus: like itself nowhere but in place."""
    noise = np.random.default_rng(seed).standard_normal((64, 64, 3))
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(4))
    return (128 + 12 * noise * [1.0, 0.8, 0.5] + [40, 0, -40]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def grain() -> Pixels:
    return make_grain(0)


@pytest.fixture(scope="session")
def other_grain() -> Pixels:
    """The same texture, another sample."""
    return make_grain(1)
