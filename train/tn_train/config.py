"""What a run is made of, as frozen values, and the named presets.

A configuration is saved whole in the checkpoint and rebuilt by `tn_runtime.schema.build`; the
defaults of the command line come from here, so there is one truth.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Literal, Self

from tn_runtime.errors import RequestError

Kind = Literal["texture", "style"]
"""Kind of a generator: it makes textures from noise alone, or stylises photos."""

OptimizerName = Literal["muon", "adam"]

LARGEST_SIZE = 2**31 - 1
"""Largest side of an exemplar that can be asked for, pixels."""

LARGEST_SEED = 2**63 - 1
"""The largest that PyTorch takes."""


@dataclass(frozen=True)
class Wave:
    """A wave of a regular pattern: how far its phase goes on half a pixel, in 2^-32 of a turn."""

    y: int
    x: int


@dataclass(frozen=True)
class GeneratorConfig:
    """A multi-scale generator (Ulyanov et al. 2016, section 3.1); level 0 is the finest.

    The defaults are the paper's as far as its text tells: K = 5 levels, 8 channels more at each
    join. The authors' pyramid.lua is the same with K = 6.
    """

    widths: tuple[int, ...] = (40, 32, 24, 16, 8)
    """Channels of the block at each level, finest first; their number is K."""
    branch: int = 8
    """Channels that each level's own noise is turned into before it joins the coarser result."""
    noise_channels: int = 3
    """Noise at each level; a style may have 0, and sees the photo alone."""
    content_channels: int = 0
    """Channels of the photo at each level, before those of the noise: 3 for a style, 0 for a
    texture."""
    norm: Literal["batch", "instance"] = "batch"
    """The paper's, or that of its follow-up (arXiv 1607.08022), which is for stylisation."""
    join_norm: bool = True
    """A norm on both branches right before each concatenation."""
    slope: float = 0.01
    """LeakyReLU's slope for negative numbers; 0 is ReLU. 0.01 is the default of Torch7's
    `nn.LeakyReLU`, which the authors' pyramid.lua uses."""

    styles: int = 1
    """Paintings whose style the network has, each with weights of its own in all norms."""
    fine: int = 0
    """Levels that were added to a trained network, one at a time, while it is trained; all but the
    finest are fixed. See `refinement`."""
    smooth: int = 0
    """Finest levels that interpolate the coarser result linearly; all others repeat its pixels."""

    @property
    def kind(self) -> Kind:
        """The kind of pictures that it makes."""
        return "style" if self.content_channels else "texture"

    waves: tuple[Wave, ...] = ()
    """The waves of a regular texture. Each gives two channels of input, after those of the noise;
    see `waves`."""
    wave_level: int = 1
    """The finest level that takes the waves, as all coarser ones do. Their pixels are of the level
    before it."""

    def input_channels(self, level: int) -> int:
        """Return the channels of the photo, the noise and the waves at a level."""
        waves = 2 * len(self.waves) if level >= self.wave_level else 0
        return self.content_channels + self.noise_channels + waves

    @property
    def levels(self) -> int:
        """K, the number of scales."""
        return len(self.widths)

    @property
    def stride(self) -> int:
        """Pixels of the picture per pixel of the coarsest noise."""
        return 1 << (self.levels - 1)


@dataclass(frozen=True)
class Stage:
    """A part of a run, with samples of one size."""

    share: float
    """Share of the run, 0 to 1; the shares of all stages add up to 1."""
    sample: int
    """Side of the training samples, pixels."""
    batch: int
    octave: int = 0
    """How often the exemplar is halved. From a stage to the next it falls by 1 at most, and the
    last has 0; wherever it falls, the generator gets a fine level. See `refinement`."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a generator is trained.

    The paper's: Gram matrices of a VGG's features, Adam, exemplars of 256 pixels. The authors'
    code's, and not the paper's: the normalised gradients. Ours, found on two CPU cores within
    minutes (benchmarks/lab/recipe.md): VGG-16 without its fifth block, its border repeated, Muon,
    octaves, the loss of details, small samples and batches, the smaller learning rate and its
    cosine, averaged weights, the penalty on the range. CONTRIBUTING.md has the three side by
    side.
    """

    size: int = 256
    """Longest side of the exemplar, pixels; smaller exemplars keep their size."""
    even_light: bool = False
    """Divide the slow change of light out of the exemplar; see `light`."""
    coarse: int = 0
    """Longest side of the exemplar, pixels, about, that the preset's own levels learn from; for
    larger ones fine levels are added, see `refinement`. 0: they learn from any size."""
    stages: tuple[Stage, ...] = (Stage(0.15, 128, 2), Stage(0.85, 256, 1))
    """Training starts with small samples because they are cheap. Batches are small because more
    steps gain more than less noise in the gradient."""
    learning_rate: float = 0.015
    """Decayed by a cosine to 2%. Adam's is 0.02 in the presets that have it; the authors' 0.1 gave
    a worse loss in equal time."""
    optimizer: OptimizerName = "muon"
    """The paper's is Adam. Muon comes further on bricks and oranges in equal time, and no less far
    on leaves (benchmarks/lab/recipe.md); see `optimizer.Optimizer`."""
    layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    """Layers of the descriptor. The authors' texture code has relu5_1, too."""
    octaves: int = 3
    """Scales at which the texture is compared: 1, 1/2 ... 1/2^(octaves - 1); see
    `losses.OctavesLoss`."""
    detail_weight: float = 20.0
    """Strength of the loss of the finest structure; see `losses.DetailLoss`."""
    grid_weight: float = 2000.0
    """Weight of the penalty on grids. With it pebbles of 300 steps at 512 px have a fifth of the
    grid, and a lower loss (0.094 in place of 0.117); 100 takes away a third
    (benchmarks/lab/fullres.md)."""
    tie_weight: float = 1e5
    """Weight of the tie of a fine level to the coarser picture. The descriptor's normalised
    gradients have together an L1 norm of about 4e4 at the pixels of a window of 256 px; the tie has
    that norm where pictures differ by 0.2."""
    lattice_weight: float = 1e5
    """Weight of the loss of a regular pattern; see `lattice.LatticeLoss`. It is as strong as the
    tie."""
    averaging: float = 0.98
    """Decay of the exponential average of the weights, which is evaluated and kept."""
    normalize_gradients: bool = True
    """Divide the gradient of each layer by its norm (the authors' code,
    TextureLoss:updateGradInput)."""
    weights: dict[str, float] = field(default_factory=dict)
    """Factors of the gradients of layers, 1 where none is given."""
    style_weight: float = 1.0
    """Weight of the style losses of a stylisation, all layers and octaves added up."""
    content_layer: str = "relu4_2"
    """Layer of the descriptor where stylised photos must resemble their photos."""
    content_weight: float = 0.0
    """Weight of the content loss; beside normalised gradients of the style it is large."""
    tone_weight: float = 0.0
    """Weight of the loss of tones; see `losses.tone_loss`."""
    variation_weight: float = 0.0
    """Weight of the total variation of stylised photos."""
    range_weight: float = 1000.0
    """Weight of the penalty on colours outside [0, 1]. A departure, see `losses.range_penalty`."""
    seed: int = 0

    def stage(self, octave: int, progress: float) -> Stage:
        """Return the stage of a generator that learns at an octave.

        Args:
            octave: how often the exemplar is halved. A run that goes on with a larger total can be
                at a finer octave than its progress alone tells.
            progress: how much of the run is done, 0 to 1.
        """
        *earlier, last = [stage for stage in self.stages if stage.octave == octave]
        end = sum(stage.share for stage in self.stages if stage.octave > octave)
        for stage in earlier:
            end += stage.share
            if progress < end:
                return stage
        return last

    def octave(self, fine: int) -> int:
        """Return how often the exemplar is halved for a generator with so many fine levels."""
        return self.stages[0].octave - fine

    def within(self, octave: int, progress: float) -> float:
        """Return how much of the stages of an octave is done when so much of the run is, 0 to 1."""
        before = sum(stage.share for stage in self.stages if stage.octave > octave)
        share = sum(stage.share for stage in self.stages if stage.octave == octave)
        return min(max((progress - before) / share, 0.0), 1.0)


@dataclass(frozen=True)
class Crop:
    """A region of the exemplar, in its own pixels."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `X,Y,WxH`.

        Raises:
            RequestError: another form, or an empty region.
        """
        match = re.fullmatch(r"(\d{1,9}),(\d{1,9}),(\d{1,9})x(\d{1,9})", text.strip())
        crop = cls(*map(int, match.groups())) if match else None
        if crop is None or crop.width == 0 or crop.height == 0:
            raise RequestError(
                f"crop {text!r} is not a region: write X,Y,WxH, such as 100,50,300x200"
            )
        return crop

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width}x{self.height}"


MOST_STEPS, MOST_MINUTES = 10**9, 10**6
"""The longest run, in either way; a mistyped number is found before hours are spent."""
MOST_EVALUATIONS = 60
"""Evaluations of a run, at most."""


@dataclass(frozen=True)
class Budget:
    """How long a run lasts in all, interruptions left out: so many steps, or so many minutes."""

    steps: int | None = None
    minutes: float | None = 10.0
    """Used if `steps` is None."""

    @property
    def evaluations(self) -> int:
        """How many evaluations and previews a run has.

        An evaluation takes about three steps: a twentieth of the time goes into them, and a user
        sees a new preview every 20 seconds. Runs of hours have fewer.
        """
        wanted = self.steps / 50 if self.steps is not None else 3 * (self.minutes or 0)
        return max(1, round(min(wanted, MOST_EVALUATIONS)))

    def progress(self, steps: int, seconds: float) -> float:
        """Return how much of the run is done, 0 to 1."""
        if self.steps is not None:
            return min(steps / self.steps, 1.0)
        if self.minutes is not None:
            return min(seconds / (60 * self.minutes), 1.0)
        return 1.0


def budget(steps: int | None, minutes: float | None) -> Budget | None:
    """Return the budget of a run of so many steps, or minutes; None if neither is given.

    Raises:
        RequestError: both are given, or a length that cannot be.
    """
    if steps is not None and minutes is not None:
        raise RequestError("--steps and --minutes are two ways to say how long: give one")
    if steps is None and minutes is None:
        return None
    if steps is not None and not (type(steps) is int and 1 <= steps <= MOST_STEPS):
        raise RequestError(f"{steps} steps are no length of a run: give 1 to {MOST_STEPS}")
    if minutes is not None and not (type(minutes) in {int, float} and 0 < minutes <= MOST_MINUTES):
        raise RequestError(
            f"{minutes} minutes are no length of a run: give more than 0, up to {MOST_MINUTES}"
        )
    return Budget(steps, minutes)


@dataclass(frozen=True)
class Preset:
    """A named recipe: a network and how it is trained."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


FUNNEL = GeneratorConfig(widths=(16, 16, 32, 64, 64), branch=16, join_norm=False)
"""Wide where pixels are few, narrow where they are many: half the paper's milliseconds. Multiples
of 16 are what ONNX Runtime's convolutions compute in; branches of 8 channels take longer than of
16, as they are laid out anew for each join."""

FAITHFUL = TrainingConfig(
    stages=(Stage(0.7, 128, 8), Stage(0.3, 256, 2)),
    learning_rate=0.02,
    optimizer="adam",
    octaves=1,
    detail_weight=0.0,
    grid_weight=0.0,
)

INSTANCE = GeneratorConfig(
    widths=(16, 32, 32, 48, 32),
    branch=16,
    noise_channels=0,
    content_channels=3,
    norm="instance",
    join_norm=False,
    slope=0.0,
)
"""The photo alone: the authors' code for instance normalisation has noise for textures only, and in
a style it shows as speckle in skies. ReLU is that code's, too. ONNX Runtime computes it faster than
LeakyReLU, and channels in multiples of 16 faster than others."""

STYLE = TrainingConfig(
    size=512,
    stages=(Stage(0.25, 128, 1), Stage(0.75, 256, 1)),
    layers=("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
    octaves=2,
    detail_weight=0.0,
    grid_weight=0.0,
    normalize_gradients=False,
    weights={"relu1_2": 4.0},
    style_weight=1.2,
    content_layer="relu3_3",
    content_weight=1.0,
    tone_weight=3.0,
)
"""Found on four paintings (benchmarks/lab/style.md), with the layers of Johnson et al. 2016."""

BASE = Preset(
    INSTANCE,
    dataclasses.replace(STYLE, stages=(Stage(0.6, 128, 1), Stage(0.4, 256, 1)), averaging=0.998),
)
"""The recipe for a base, which other styles start from: many steps, and more of them small; its
average reaches over all paintings."""

PRESETS: dict[Kind, dict[str, Preset]] = {
    "texture": {
        "funnel": Preset(FUNNEL, TrainingConfig(size=1024, coarse=256)),
        "paper": Preset(training=FAITHFUL),
    },
    "style": {
        "instance": Preset(INSTANCE, STYLE),
        "paper": Preset(
            GeneratorConfig(widths=(48, 40, 32, 24, 16, 8), content_channels=3),
            TrainingConfig(
                stages=(Stage(1.0, 256, 2),),
                learning_rate=0.02,
                optimizer="adam",
                octaves=1,
                detail_weight=0.0,
                grid_weight=0.0,
                content_weight=400.0,
            ),
        ),
    },
}
"""The first of each kind is the default. `paper` is the paper's network; how it is trained is only
in part (see TrainingConfig)."""
