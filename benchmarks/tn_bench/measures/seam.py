"""The seam of a picture that is laid side by side with itself."""

import torch
from torch import Tensor

USUAL = 0.95
"""The part of a picture's own steps that counts as usual."""


def seam_ratio(picture: Tensor) -> float:
    """Return how much larger the step across the edge is than an average step within.

    1: no seam. The worse of the two directions.

    Args:
        picture: (3, H, W), H and W at least 2.
    """
    return max((steps[-1] / _mean(steps[:-1])).item() for steps in _steps(picture))


def usual_ratio(picture: Tensor) -> float:
    """Return what a step within a picture comes to that is larger than 95% of them."""
    inner = [steps[:-1] for steps in _steps(picture)]
    return max((torch.quantile(steps, USUAL) / _mean(steps)).item() for steps in inner)


def _steps(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean step from each row to the next, and column; the last is across the edge."""
    down = (picture - picture.roll(-1, -2)).abs().mean(dim=(0, 2))
    across = (picture - picture.roll(-1, -1)).abs().mean(dim=(0, 1))
    return down, across


def _mean(steps: Tensor) -> Tensor:
    return steps.mean().clamp_min(1e-6)
