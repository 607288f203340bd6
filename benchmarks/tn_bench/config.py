"""How pictures are optimised; without torch, since the command line takes its defaults here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What is minimised besides the style losses, and for how long."""

    steps: int = 500
    """Evaluations of loss and gradient at most, as in the authors' notebook of 2016; DeepTextures
    goes to 2000 iterations. An iteration of L-BFGS takes one, seldom more."""
    seed: int = 0
    content_weight: float = 0.1
    """Weight of the content loss, beside the sum of the style losses; 1 keeps nearly the photo."""
    variation_weight: float = 0.0
    """Weight of the total variation. Neither paper has the term; neural-style has. It removes the
    pixel noise which the descriptor does not see, and which plain L-BFGS leaves from its start."""
    range_weight: float = 1.0
    """Weight of the penalty on colours outside [0, 1]."""


GATYS = Settings()
