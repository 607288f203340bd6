"""Speed and memory: tn-run's engine against PyTorch eager of the same network, on the CPU.

Each figure comes from a process of its own, because peak memory is a property of a process and
because ONNX Runtime's idle threads would slow PyTorch down. The engines take turns, so that a ratio
holds where the machine's speed drifts. Imports stay inside the functions that run there: PyTorch's
memory must not count as ONNX Runtime's.
"""
# ruff: noqa: PLC0415

import dataclasses
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

if TYPE_CHECKING:
    from tn_runtime.pixels import Pixels
    from tn_train.generator import Generator

T = TypeVar("T")

ENGINES = ("onnxruntime", "pytorch")
GEMM = 2048
"""Side of the square fp32 matrices whose product stands for the machine's peak."""
NOISE_WINDOW = 512
"""Pixels, of the window on which the cost of the noise is measured."""
MIN_SECONDS, MIN_RUNS = 2.0, 3
"""A process repeats what it measures until it has both."""


@dataclass(frozen=True)
class Timing:
    """Time and memory of one engine at one size."""

    size: int
    """Side of the square picture, pixels."""
    engine: str
    seconds: float
    """Median over the processes of the median over the runs of each."""
    megabytes: float
    """Peak resident memory of a process, the largest."""


@dataclass(frozen=True)
class Sharing:
    """Cost of a photo before its first tile, if all tiles share its statistics; in seconds."""

    measuring: float
    """Measuring the reduced photo."""
    opening: float
    """Opening the session that has the statistics as constants."""


@dataclass(frozen=True)
class Speed:
    """Everything that `measure` found about one generator on one machine."""

    gemm_gflops: float
    """Speed of an fp32 product of 2048 x 2048 matrices in PyTorch."""
    mac_per_pixel: float
    timings: tuple[Timing, ...]
    noise_share: float
    """Share of the time of a 512 px window that noise, photo and pixels take in the program, and
    not in the network alone."""
    sharing: Sharing | None
    """A part of `timings` where a photo is larger than one run; None: tiles share nothing."""

    @property
    def sizes(self) -> list[int]:
        """Sides of the pictures, pixels, ascending."""
        return sorted({each.size for each in self.timings})

    def timing(self, size: int, engine: str) -> Timing:
        """Return the figures of an engine at a size."""
        return next(each for each in self.timings if (each.size, each.engine) == (size, engine))

    def speedup(self, size: int) -> float:
        """Return how many times faster ONNX Runtime is than PyTorch."""
        seconds = [self.timing(size, engine).seconds for engine in ENGINES]
        return seconds[1] / seconds[0]

    def share_of_peak(self, size: int) -> float:
        """Return ONNX Runtime's useful operations per second over the matrix product's."""
        seconds = self.timing(size, "onnxruntime").seconds
        return 2 * self.mac_per_pixel * size**2 / seconds / (self.gemm_gflops * 1e9)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, the derived ones too."""
        return dataclasses.asdict(self) | {
            "speedup": {size: self.speedup(size) for size in self.sizes},
            "share_of_peak": {size: self.share_of_peak(size) for size in self.sizes},
        }


def measure(
    checkpoint: Path,
    sizes: tuple[int, ...] = (256, 512, 1024, 2048),
    rounds: int = 3,
    report: Callable[[str], None] = lambda _: None,
) -> Speed:
    """Measure a generator on this machine's CPU, with all its cores.

    Args:
        checkpoint: what tn-train wrote.
        sizes: sides of the square pictures, pixels.
        rounds: processes for each engine and size.
        report: told what is about to be measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        model, core = Path(folder) / "model.onnx", Path(folder) / "core.onnx"
        report("export")
        mac_per_pixel = _in_process(_export, checkpoint, model, core)
        paths = {"onnxruntime": model, "pytorch": checkpoint}
        timings = [timing for size in sizes for timing in _compare(size, paths, rounds, report)]
        report("noise")
        shares = [_in_process(_noise_share, checkpoint, model, core) for _ in range(rounds)]
        report("statistics")
        sharing = _in_process(_sharing, model)
        report("matrix product")
        gflops = [_in_process(_gemm_gflops) for _ in range(rounds)]
    return Speed(max(gflops), mac_per_pixel, tuple(timings), statistics.median(shares), sharing)


def _compare(
    size: int, paths: dict[str, Path], rounds: int, report: Callable[[str], None]
) -> list[Timing]:
    found: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for round_ in range(rounds):
        for engine in ENGINES:
            report(f"{size} px, {engine}, {round_ + 1} of {rounds}")
            found[engine].append(_in_process(_time_engine, engine, paths[engine], size))
    return [
        Timing(size, engine, statistics.median(s for s, _ in rows), max(m for _, m in rows))
        for engine, rows in found.items()
    ]


def _in_process(function: Callable[..., T], *arguments: object) -> T:
    """Run a function of this module in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _export(checkpoint: Path, model: Path, core: Path) -> float:
    """Write the model and its core graph; return the network's multiplications per pixel."""
    from tn_export.core import core_model
    from tn_export.graph import serialized
    from tn_export.model import export
    from tn_train import checkpoint as checkpoints

    loaded = checkpoints.load(checkpoint)
    export(loaded, model)
    generator = loaded.generator()
    core.write_bytes(serialized(core_model(generator)))
    side = 8 * generator.config.stride
    once, twice, thrice = (_operations(generator, side * factor) for factor in (1, 2, 3))
    # A window costs a + b side + c side^2 with its halo; the second difference is 2 c side^2.
    return (thrice - 2 * twice + once) / 2 / side**2 / 2


def _operations(generator: "Generator", side: int) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    z = [torch.zeros(shape) for shape in generator.input_shapes(1, side, side)]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        generator(*z)
    return int(counter.get_total_flops())


def _time_engine(engine: str, path: Path, size: int) -> tuple[float, float]:
    """Return seconds per picture and the peak memory of this process in MB."""
    make = _onnxruntime(path, size) if engine == "onnxruntime" else _pytorch(path, size)
    return _median_seconds(make), _peak_megabytes()


def _photo(size: int) -> "Pixels":
    """Return a photo of noise; its content does not matter to the time."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


def _onnxruntime(path: Path, size: int) -> Callable[[], object]:
    from tn_runtime import load, stylize, synthesize

    model = load(path, provider="cpu")
    if model.spec.kind == "style":
        photo = _photo(size)
        return lambda: stylize(model, photo)
    return lambda: synthesize(model, size=(size, size))


def _pytorch(path: Path, size: int) -> Callable[[], object]:
    import torch

    from tn_train.checkpoint import load
    from tn_train.pyramid import pyramid, with_noise

    generator = load(path).generator()
    config = generator.config
    side = -(-size // config.stride) * config.stride
    photo = torch.from_numpy(_photo(side)).permute(2, 0, 1)[None]

    @torch.inference_mode()
    def make() -> torch.Tensor:
        shapes = generator.input_shapes(1, side, side)
        z = [torch.rand(1, config.noise_channels, *shape[2:]) for shape in shapes]
        if config.kind == "style":
            z = with_noise(pyramid(generator, photo.float() / 255), z)
        image: torch.Tensor = generator(*z)[..., :size, :size]
        return (image * 255 + 0.5).clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()

    return make


def _noise_share(checkpoint: Path, model: Path, core: Path) -> float:
    """Time the program and its core in turns on one window, with statistics given."""
    import numpy as np

    from tn_runtime.folding import (
        default_blend,
        default_statistics,
        offsets,
        with_constants,
    )
    from tn_runtime.providers import onnxruntime
    from tn_train.checkpoint import load

    generator = load(checkpoint).generator()
    shapes = generator.input_shapes(1, NOISE_WINDOW, NOISE_WINDOW)
    rng = np.random.default_rng(0)
    noise = {f"level_{k}": rng.random(shape, np.float32) for k, shape in enumerate(shapes)}
    blend = default_blend(generator.config.styles)
    style = {"style": blend[None]} if len(blend) > 1 else {}
    if generator.config.kind == "style":
        request = _style_request(NOISE_WINDOW, seed=generator.config.noise_channels > 0) | style
    else:
        values = {"seed": [0], "origin": [0, 0], "size": [NOISE_WINDOW] * 2, "period": [0, 0]}
        request = {name: np.array(value, np.int64) for name, value in values.items()}
    ort, channels = onnxruntime(), generator.normalized_channels

    def opened(path: Path) -> Any:  # noqa: ANN401 - untyped package
        data = path.read_bytes()
        if channels:
            places = offsets(data, channels, len(blend))
            data = with_constants(data, places, default_statistics(channels), blend)
        return ort.InferenceSession(data, providers=["CPUExecutionProvider"])

    whole, inner = opened(model), opened(core)
    ratios = []
    for _ in range(10):
        outside = _seconds(lambda: whole.run(None, request))
        ratios.append(1 - _seconds(lambda: inner.run(None, noise | style)) / outside)
    return statistics.median(ratios)


def _style_request(size: int, *, seed: bool) -> dict[str, Any]:
    """Return the inputs of a style for a whole square photo."""
    import numpy as np

    values = {"window": [0, 0, size, size], "origin": [0, 0]} | ({"seed": [0]} if seed else {})
    request: dict[str, Any] = {name: np.array(value, np.int64) for name, value in values.items()}
    return request | {"content": _photo(size)[None]}


def _sharing(model: Path) -> Sharing | None:
    from tn_runtime import load
    from tn_runtime.stylization import REFERENCE_PIXELS

    loaded = load(model, provider="cpu")
    if not loaded.spec.normalized_channels:
        return None
    request = _style_request(int(REFERENCE_PIXELS**0.5), seed=loaded.spec.takes_seed)
    measured = loaded.measure(**request)
    measuring = _median_seconds(lambda: loaded.measure(**request))
    return Sharing(measuring, opening=_median_seconds(lambda: loaded.given(measured)))


def _gemm_gflops() -> float:
    import torch

    a, b = torch.rand(2, GEMM, GEMM)
    return 2 * GEMM**3 / _median_seconds(lambda: a @ b) / 1e9


def _median_seconds(make: Callable[[], object]) -> float:
    make()
    runs: list[float] = []
    while len(runs) < MIN_RUNS or sum(runs) < MIN_SECONDS:
        runs.append(_seconds(make))
    return statistics.median(runs)


def _seconds(make: Callable[[], object]) -> float:
    start = time.perf_counter()
    make()
    return time.perf_counter() - start


def _peak_megabytes() -> float:
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage also counts what the parent had before this process
        [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(peak) * 1024 / 1e6
    import resource  # not there on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
