"""The parity proof: PyTorch against ONNX Runtime, made before a model file gets its name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch

from tn_export.noise import noise
from tn_runtime.errors import ParityError
from tn_runtime.spec import Parity
from tn_train.generator import Generator

MAX_FLOAT_ERROR = 1e-4
"""Of the float core, for colours in [0, 1]."""
MAX_PIXEL_ERROR = 1
"""In levels of 255: a float on the edge between two levels may fall to either side."""

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A request to a texture program, (y, x) order."""

    seed: tuple[int, ...]
    origin: tuple[int, int]
    size: tuple[int, int]
    period_in_strides: tuple[int, int] = (0, 0)


WINDOWS = (
    Window((0,), (0, 0), (256, 256)),
    Window((1,), (0, 0), (1, 1)),
    Window((2,), (5, -3), (17, 333)),
    Window((3, 4, 2**63 - 1), (-1000, 77), (37, 41)),
    Window((5,), (10**9 + 1, -(10**9) - 7), (40, 24)),
    Window((6,), (-9, 4), (64, 1024)),
    Window((7,), (3, 3), (530, 518)),
    Window((8,), (-5, 11), (90, 70), (2, 3)),
    Window((9,), (0, 21), (33, 70), (0, 1)),
)
"""Odd, tiny, smaller than the halo, wide, large, batch of 3, far away, periodic."""


def prove(generator: Generator, core: bytes, program: bytes) -> Parity:
    """Compare the trained network, BatchNorm and all, with what was exported from it.

    Args:
        generator: in evaluation mode.
        core: the serialized graph from noise to floats.
        program: the serialized graph from integers to pixels.

    Raises:
        ParityError: a float differs by more than 1e-4 or a pixel by more than one level.
    """
    core_session, program_session = _session(core), _session(program)
    float_errors, pixel_errors = [], []
    for window in WINDOWS:
        pyramid = noise_pyramid(generator, window)
        expected = _run_torch(generator, pyramid)
        floats = core_session.run(None, {f"noise_{k}": z for k, z in enumerate(pyramid)})[0]
        float_errors.append(_distance(floats, expected, window))
        pixels = program_session.run(None, inputs(window, generator.config.stride))[0]
        expected_pixels = _pixels(expected, window, generator.config.stride)
        pixel_errors.append(_distance(pixels, expected_pixels, window))
    # Unlike Python's, numpy's maximum of anything and nan is nan, which fails the comparison.
    float_error, pixel_error = float(np.max(float_errors)), int(np.max(pixel_errors))
    if not float_error <= MAX_FLOAT_ERROR or pixel_error > MAX_PIXEL_ERROR:
        raise ParityError(
            f"the exported graph differs from the network by {float_error:.2g} (allowed: "
            f"{MAX_FLOAT_ERROR:g}) and {pixel_error} levels of 255 (allowed: {MAX_PIXEL_ERROR}); "
            "no file was written"
        )
    return Parity(windows=len(WINDOWS), float_error=float_error, pixel_error=pixel_error)


def noise_pyramid(generator: Generator, window: Window) -> list[Float]:
    """Evaluate the reference noise around a window widened to whole strides, finest level first."""
    config = generator.config
    start, stop = _aligned(window, config.stride)
    pyramid = []
    for level, halo in enumerate(generator.halos):
        axes = []
        for begin, end, strides in zip(start, stop, window.period_in_strides, strict=True):
            axis = np.arange(begin // 2**level - halo, end // 2**level + halo, dtype=np.int64)
            period = strides * config.stride // 2**level
            axes.append(axis % period if period else axis)
        seed = np.array(window.seed, dtype=np.int64)
        pyramid.append(noise(seed, level, config.noise_channels, axes[0], axes[1]))
    return pyramid


def inputs(window: Window, stride: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return what the program is fed with for a window."""
    period = [strides * stride for strides in window.period_in_strides]
    values = {"seed": window.seed, "origin": window.origin, "size": window.size, "period": period}
    return {name: np.array(value, dtype=np.int64) for name, value in values.items()}


def _aligned(window: Window, stride: int) -> tuple[list[int], list[int]]:
    start = [origin // stride * stride for origin in window.origin]
    ends = (origin + size for origin, size in zip(window.origin, window.size, strict=True))
    return start, [-(-end // stride) * stride for end in ends]


def _session(model: bytes) -> Any:  # noqa: ANN401 - onnxruntime has no annotations
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _run_torch(generator: Generator, pyramid: list[Float]) -> Float:
    with torch.inference_mode():
        image = generator(*(torch.from_numpy(level) for level in pyramid))
    return image.numpy()  # type: ignore[no-any-return]


def _pixels(image: Float, window: Window, stride: int) -> npt.NDArray[np.uint8]:
    """Crop and round as the program's epilogue does; uint8 (N, h, w, 3)."""
    (top, left), (height, width) = (v % stride for v in window.origin), window.size
    cropped = image[:, :, top : top + height, left : left + width]
    levels: npt.NDArray[np.uint8] = np.clip(cropped * 255 + 0.5, 0, 255).astype(np.uint8)
    return levels.transpose(0, 2, 3, 1)


def _distance(actual: npt.NDArray[Any], expected: npt.NDArray[Any], window: Window) -> float:
    if actual.shape != expected.shape:
        raise ParityError(
            f"the exported graph returns shape {actual.shape} for {window}, "
            f"the network {expected.shape}; no file was written"
        )
    return float(np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max())
