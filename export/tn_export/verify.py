"""The parity proof: PyTorch against ONNX Runtime, made before a model file gets its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch

from tn_export.noise import noise
from tn_export.noise import offsets as wave_offsets
from tn_runtime.errors import ParityError
from tn_runtime.folding import offsets, with_constants
from tn_runtime.self_test import recorded
from tn_runtime.spec import Parity, SelfTest
from tn_train.generator import Generator
from tn_train.norm import Condition
from tn_train.pyramid import pyramid, with_noise
from tn_train.waves import waves

MAX_FLOAT_ERROR = 1e-3
"""Tolerance for the float core, for colours in [0, 1]: a quarter of a level. Exemplars with large
structures make networks that amplify rounding: from such a one in float64, PyTorch's float32
differs by up to 1e-4, ONNX Runtime's by 4e-5."""
MAX_PIXEL_ERROR = 1
"""In levels of 255: a float on the edge between two levels may fall to either side."""

MAX_STATISTICS_ERROR = 0.01
"""Relative. Norms after norms amplify what rounding does to the variance of a flat photo."""

Float = npt.NDArray[np.float32]
Pair = tuple[int, int]
"""(y, x) or (height, width)."""


@dataclass(frozen=True)
class TextureCall:
    """A request to a texture program."""

    seed: tuple[int, ...]
    origin: Pair
    size: Pair
    period_in_strides: Pair = (0, 0)

    def pyramid(self, generator: Generator) -> list[Float]:
        """Return what the core gets for it: noise and waves, by numpy, finest level first."""
        return noise_pyramid(generator, self)

    def inputs(self, generator: Generator) -> dict[str, npt.NDArray[Any]]:
        """Return what the program gets for it."""
        stride = generator.config.stride
        period = [strides * stride for strides in self.period_in_strides]
        values = {"seed": self.seed, "origin": self.origin, "size": self.size, "period": period}
        return {name: np.array(value, dtype=np.int64) for name, value in values.items()}


@dataclass(frozen=True)
class StyleCall:
    """A request to a style program."""

    seed: tuple[int, ...]
    """One for each photo; a model without noise does not see it."""
    content: Pair
    """Size of the photos."""
    corner: Pair
    """Place of the window within the photo."""
    size: Pair
    shift: Pair = (0, 0)
    """Place of the photo within a larger picture."""
    given: bool = False
    """Whether the statistics of normalised channels are given, not measured; and with them the
    blend of styles."""
    style: int | None = None
    """The one style of all photos; None blends all styles, for each photo in its own way."""

    @property
    def origin(self) -> Pair:
        """Where the window lies in the whole picture."""
        return self.corner[0] + self.shift[0], self.corner[1] + self.shift[1]

    def pyramid(self, generator: Generator) -> list[Float]:
        """Return what the core gets for it: photos and noise, finest level first."""
        start, stop = _aligned(self, generator.config.stride)
        y, x = start[0] - self.shift[0], start[1] - self.shift[1]
        window = (y, x, stop[0] - start[0], stop[1] - start[1])
        photos = torch.from_numpy(self._photos()).permute(0, 3, 1, 2).float() / 255
        noise = (torch.from_numpy(level) for level in noise_pyramid(generator, self))
        levels = with_noise(pyramid(generator, photos, window), list(noise))
        return [level.numpy() for level in levels]

    def inputs(self, generator: Generator) -> dict[str, npt.NDArray[Any]]:
        """Return what the program gets for it."""
        values = {"window": (*self.corner, *self.size), "origin": self.shift}
        if generator.config.noise_channels:
            values["seed"] = self.seed
        inputs = {name: np.array(value, dtype=np.int64) for name, value in values.items()}
        return inputs | {"content": self._photos()} | style_input(generator, self)

    def shares(self, styles: int) -> Float:
        """Return the share of each style in each photo, (N, S); they add up to 1."""
        if self.style is not None:
            return np.eye(styles, dtype=np.float32)[[self.style] * len(self.seed)]
        rng = np.random.default_rng(self.seed[0] % 2**32)
        return rng.dirichlet(np.ones(styles), len(self.seed)).astype(np.float32)

    def _photos(self) -> npt.NDArray[np.uint8]:
        """Return uint8 (N, H, W, 3), as smooth as photos, with edges and pixel noise."""
        rng = np.random.default_rng(self.seed[0] % 2**32)
        y, x = np.ogrid[: self.content[0], : self.content[1]]
        phase = rng.uniform(0, 6, (len(self.seed), 1, 1, 3))
        waves = np.sin(y[..., None] / 23 + phase) + np.sign(np.sin(x[..., None] / 31 + 2 * phase))
        noisy = 128 + 50 * waves + rng.normal(0, 8, (len(self.seed), *self.content, 3))
        return noisy.clip(0, 255).astype(np.uint8)


Call = TextureCall | StyleCall

MEASURED_CALL = StyleCall((12,), (96, 128), (0, 0), (96, 128))
"""Its statistics and blend are those that are given to others. A flat photo's would not do: by its
statistics, other photos are divided by almost nothing."""

TEXTURE_CALLS = (
    TextureCall((0,), (0, 0), (256, 256)),
    TextureCall((1,), (0, 0), (1, 1)),
    TextureCall((2,), (5, -3), (17, 333)),
    TextureCall((3, 4, 2**63 - 1), (-1000, 77), (37, 41)),
    TextureCall((5,), (10**9 + 1, -(10**9) - 7), (40, 24)),
    TextureCall((6,), (-9, 4), (64, 1024)),
    TextureCall((7,), (3, 3), (530, 518)),
    TextureCall((8,), (-5, 11), (90, 70), (2, 3)),
    TextureCall((9,), (0, 21), (33, 70), (0, 1)),
)
"""Odd, tiny, smaller than the halo, wide, large, batch of 3, far away, periodic."""

STYLE_CALLS = (
    StyleCall((0,), (256, 256), (0, 0), (256, 256)),
    StyleCall((1,), (1, 1), (0, 0), (1, 1)),
    StyleCall((2,), (17, 333), (0, 0), (17, 333)),
    StyleCall((3, 4, 2**63 - 1), (61, 83), (0, 0), (61, 83)),
    StyleCall((5,), (301, 277), (113, 51), (77, 129)),
    StyleCall((6,), (300, 500), (150, 170), (37, 141), (10**6 + 1, 333)),
    StyleCall((7,), (140, 90), (-20, 30), (190, 100), (-9, 77)),
    StyleCall((8, 9), (97, 130), (5, 7), (80, 101), given=True),
    StyleCall((10,), (1, 1), (0, 0), (1, 1), given=True),
    StyleCall((11,), (210, 300), (-3, 250), (33, 67), (10**6 + 1, -5), given=True),
)
"""Whole, tiny, smaller than the halo, odd, a part, a part of a larger picture, beyond the edges;
statistics measured and given."""


class Constants(NamedTuple):
    """What is given to a style: the statistics of its normalised channels, and its blend."""

    statistics: Float
    """(C, 2)"""
    blend: Float
    """(S,)"""


def calls_of(generator: Generator) -> tuple[Call, ...]:
    """Return the requests that a generator is proven with; each of several styles also alone."""
    if generator.config.kind == "texture":
        return TEXTURE_CALLS
    styles = range(generator.config.styles)
    alone = [StyleCall((20 + style,), (48, 64), (0, 0), (48, 64), style=style) for style in styles]
    return (*STYLE_CALLS, *alone) if len(alone) > 1 else STYLE_CALLS


SELF_TESTS: dict[str, Call] = {
    "texture": TextureCall((2**33 + 5,), (-(2**34) - 3, 11), (24, 40), (0, 4)),
    "style": StyleCall((2**33 + 5,), (32, 40), (0, 0), (32, 40), (5, -9), style=0),
}
"""What the self-test in a model file asks for: both halves of a seed and of a coordinate, negative
ones, a period; a photo whose corner lies between strides. The photo is no smaller because the
variance of a few pixels amplifies rounding errors."""


Report = Callable[[int, int], None]
"""Takes the number of windows that are proven, and of all."""


def quiet(_done: int, _total: int) -> None:
    """Report nothing."""


def prove(generator: Generator, core: bytes, program: bytes, report: Report = quiet) -> Parity:
    """Compare the trained network, norms and all, with what was exported from it.

    Statistics and a blend are given as a caller gives them: their bytes are written into the
    file's.

    Args:
        generator: in evaluation mode.
        core: the serialized graph from a pyramid to floats.
        program: the serialized graph from integers, or photos, to pixels.
        report: takes the number of windows that are proven, and of all.

    Raises:
        ParityError: a float differs by more than 1e-3, a pixel by more than one level, or a
            measured statistic by more than a hundredth.
    """
    calls = calls_of(generator)
    float_errors, pixel_errors, statistics_errors = [], [], [0.0]
    measuring = [session(graph) for graph in (core, program)]
    given = _given(generator)
    folded = measuring if given is None else [session(graph, given) for graph in (core, program)]
    for done, call in enumerate(calls, start=1):
        is_given = isinstance(call, StyleCall) and call.given
        core_session, program_session = folded if is_given else measuring
        inputs = call.pyramid(generator)
        condition = _condition(generator, call, given if is_given else None)
        expected, expected_statistics = _run_torch(generator, inputs, condition)
        levels = {f"level_{k}": level for k, level in enumerate(inputs)}
        [floats] = core_session.run(["float_image"], levels | style_input(generator, call))
        float_errors.append(_distance(floats, expected, call))
        pixels, *measured = program_session.run(None, call.inputs(generator))
        if measured:
            statistics_errors.append(_statistics_error(measured[0], expected_statistics))
        expected_pixels = _pixels(expected, call, generator.config.stride)
        pixel_errors.append(_distance(pixels, expected_pixels, call))
        report(done, len(calls))
    # Unlike Python's, numpy's maximum of anything and nan is nan, which fails the comparison.
    float_error, pixel_error = float(np.max(float_errors)), int(np.max(pixel_errors))
    if not float_error <= MAX_FLOAT_ERROR or pixel_error > MAX_PIXEL_ERROR:
        raise ParityError(
            f"the exported graph differs from the network by {float_error:.2g} (allowed: "
            f"{MAX_FLOAT_ERROR:g}) and {pixel_error} levels of 255 (allowed: {MAX_PIXEL_ERROR}); "
            "no file was written"
        )
    if not float(np.max(statistics_errors)) <= MAX_STATISTICS_ERROR:
        raise ParityError(
            "the exported graph measures other statistics than the network: no file was written"
        )
    return Parity(windows=len(calls), float_error=float_error, pixel_error=pixel_error)


def style_input(generator: Generator, call: Call) -> dict[str, Float]:
    """Return the input `style`, (N, S), of a generator of several styles; no input for others."""
    if generator.config.styles == 1 or not isinstance(call, StyleCall):
        return {}
    return {"style": call.shares(generator.config.styles)}


def self_test(generator: Generator, program: bytes) -> SelfTest:
    """Run a program's self-test, and return it with the pixels that it made."""
    inputs = SELF_TESTS[generator.config.kind].inputs(generator)
    [image] = session(program).run(["image"], inputs)
    return recorded(inputs, image)


def noise_pyramid(generator: Generator, call: Call) -> list[Float]:
    """Evaluate the reference noise, and the waves, around a window widened to whole strides.

    Returns:
        Finest level first.
    """
    config = generator.config
    start, stop = _aligned(call, config.stride)
    repeats = call.period_in_strides if isinstance(call, TextureCall) else (0, 0)
    pyramid = []
    for level, halo in enumerate(generator.halos):
        axes = []
        for begin, end, strides in zip(start, stop, repeats, strict=True):
            axis = np.arange(begin // 2**level - halo, end // 2**level + halo, dtype=np.int64)
            period = strides * config.stride // 2**level
            axes.append(axis % period if period else axis)
        seed = np.array(call.seed, dtype=np.int64)
        planes = noise(seed, level, config.noise_channels, axes[0], axes[1])
        if config.waves and level >= config.wave_level:
            unit = config.wave_level - 1
            vertical, horizontal = (strides * config.stride >> unit for strides in repeats)
            turned = wave_offsets(seed, len(config.waves))
            those = waves(config.waves, level - unit, turned, axes, (vertical, horizontal))
            planes = np.concatenate([planes, those], axis=1)
        pyramid.append(planes)
    return pyramid


def _aligned(call: Call, stride: int) -> tuple[list[int], list[int]]:
    start = [origin // stride * stride for origin in call.origin]
    ends = (origin + size for origin, size in zip(call.origin, call.size, strict=True))
    return start, [-(-end // stride) * stride for end in ends]


def session(model: bytes, given: Constants | None = None) -> Any:  # noqa: ANN401 - untyped package
    """Open a file as the runtime does, with what is given written into it."""
    if given is not None:
        statistics, blend = given
        places = offsets(model, len(statistics), len(blend))
        model = with_constants(model, places, statistics, blend)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _given(generator: Generator) -> Constants | None:
    """Return what is given; None for a generator without normalised channels."""
    if not generator.normalized_channels:
        return None
    condition = _condition(generator, MEASURED_CALL, None)
    _, measured = _run_torch(generator, MEASURED_CALL.pyramid(generator), condition)
    return Constants(measured[0], MEASURED_CALL.shares(generator.config.styles)[0])


def _condition(generator: Generator, call: Call, given: Constants | None) -> Condition:
    """Return what the norms are told for a request."""
    if given is not None:
        return Condition(torch.from_numpy(given.blend[None]), torch.from_numpy(given.statistics))
    style = style_input(generator, call)
    return Condition(torch.from_numpy(style["style"]) if style else None)


def _run_torch(
    generator: Generator, pyramid: list[Float], condition: Condition
) -> tuple[Float, Float]:
    """Return the picture and the statistics of normalised channels, empty if there are none."""
    with torch.inference_mode():
        image = generator.run([torch.from_numpy(level) for level in pyramid], condition)
        used = condition.all() if condition.used else torch.empty(0)
    return image.numpy(), used.numpy()


def _statistics_error(actual: Float, expected: Float) -> float:
    """Return the largest relative error of mean and variance, (N, C, 2)."""
    mean, variance = expected[..., 0], expected[..., 1]
    # The variance of a flat picture is all rounding error, and that is of the mean's square.
    scale = np.stack([1 + np.abs(mean), 1 + variance + mean**2], axis=-1)
    return float((np.abs(actual - expected) / scale).max())


def _pixels(image: Float, call: Call, stride: int) -> npt.NDArray[np.uint8]:
    """Crop and round as the program's epilogue does; uint8 (N, h, w, 3)."""
    (top, left), (height, width) = (v % stride for v in call.origin), call.size
    cropped = image[:, :, top : top + height, left : left + width]
    levels: npt.NDArray[np.uint8] = np.clip(cropped * 255 + 0.5, 0, 255).astype(np.uint8)
    return levels.transpose(0, 2, 3, 1)


def _distance(actual: npt.NDArray[Any], expected: npt.NDArray[Any], call: Call) -> float:
    if actual.shape != expected.shape:
        raise ParityError(
            f"the exported graph returns shape {actual.shape} for {call}, "
            f"the network {expected.shape}; no file was written"
        )
    return float(np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max())
