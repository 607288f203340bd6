"""The extent of each suite, and how pictures are optimised.

Without torch, since the command line takes its defaults from here.
"""

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


@dataclass(frozen=True)
class Extent:
    """The extent of each suite. Sizes are sides of square pictures, in pixels."""

    runs: int
    """Least number of timed runs in a process, after one that is not counted."""
    seconds: float
    """Least time that a process repeats what it measures."""
    rounds: int
    """Processes for each figure; the variants take turns."""

    gatys_sizes: tuple[int, ...]
    gatys_steps: int
    """Evaluations of loss and gradient."""
    gatys_models: int
    """Textures to compare, and styles: the first of the subjects."""
    seeds: int
    """Fresh samples of a generator whose loss is measured."""
    judged: int
    """Samples that the measures of quality look at."""

    latency_sizes: tuple[int, ...]
    latency_models: int
    """Textures to time, and styles: the first of the subjects. Others of a kind take as long."""
    batches: tuple[int, ...]
    variants: tuple[str, ...]
    """Ways to run one network; see `suites.latency`."""
    one_thread: bool
    """Whether to measure single pictures on one thread, too."""
    cold_runs: int
    """Processes that are timed from start to first picture."""

    scaling_sizes: tuple[int, ...]
    photos: int
    """Photos in the folder that is painted."""

    sample_size: int
    """Side of the samples whose quality is measured."""
    minutes: float
    """Length of each training."""


FULL = Extent(
    runs=5,
    seconds=2.0,
    rounds=3,
    gatys_sizes=(256, 512),
    gatys_steps=300,
    gatys_models=2,
    seeds=8,
    judged=4,
    latency_sizes=(256, 512, 1024, 2048),
    latency_models=1,
    batches=(1, 8),
    variants=("program", "plain", "eager", "channels_last", "compile"),
    one_thread=True,
    cold_runs=5,
    scaling_sizes=(1024, 2048, 4096, 8192, 16384),
    photos=20,
    sample_size=512,
    minutes=10.0,
)

QUICK = Extent(
    runs=3,
    seconds=0.3,
    rounds=1,
    gatys_sizes=(256,),
    gatys_steps=60,
    gatys_models=1,
    seeds=8,
    judged=2,
    latency_sizes=(256, 1024),
    latency_models=1,
    batches=(1,),
    variants=("program", "plain", "eager", "channels_last"),
    one_thread=False,
    cold_runs=2,
    scaling_sizes=(1024, 2048),
    photos=5,
    sample_size=256,
    minutes=0.2,
)
