"""A picture to train from."""

import numpy as np


def pattern(height: int = 40, width: int = 48) -> np.ndarray:
    """Return stripes and noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    wave = 120 + 80 * np.sin((2 * x + y) / 3)
    return (wave[..., None] * [1.0, 0.8, 0.5] + rng.integers(0, 40, (height, width, 3))).astype(
        np.uint8
    )
