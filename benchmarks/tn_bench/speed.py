"""Speed and memory of one model: tn-run's engine against PyTorch eager of the same network.

A part of the suite `latency`, for whoever trains a model of their own.
"""

import dataclasses
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tn_bench.config import FULL
from tn_bench.machine import cores
from tn_bench.results import Measurement
from tn_bench.subjects import Subject
from tn_bench.suites import latency
from tn_bench.suites.case import Bench, Device

VARIANTS = ("program", "eager")


@dataclass(frozen=True)
class Timing:
    """Time and memory of one variant at one size."""

    size: int
    """Side of the square picture, pixels."""
    variant: str
    seconds: float
    """Median of all runs."""
    megabytes: float
    """Peak resident memory of a process, the largest."""


@dataclass(frozen=True)
class Speed:
    """What `measure` found about one generator on one machine."""

    gemm_gflops: float
    """Speed of an fp32 product of 2048 x 2048 matrices in PyTorch."""
    mac_per_pixel: float
    timings: tuple[Timing, ...]
    ratios: dict[int, tuple[float, float]]
    """By size: times faster than PyTorch, share of the matrix product's speed."""


def measure(
    model: str,
    sizes: tuple[int, ...],
    rounds: int,
    device: Device,
    report: Callable[[str], None],
) -> Speed:
    """Measure a generator with all cores of this machine, or its GPU.

    Args:
        model: a file, or the name of a shipped model.
        sizes: sides of the square pictures, pixels.
        rounds: processes for each variant and size.
        device: to measure on.
        report: told what is about to be measured.
    """
    extent = dataclasses.replace(
        FULL,
        rounds=rounds,
        latency_sizes=sizes,
        latency_textures=1,
        batches=(1,),
        variants=VARIANTS,
        one_thread=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject.alone(model)
        bench = Bench(extent, device, [subject], Path(folder), Path(folder))
        found: list[Measurement] = []
        for case in latency.cases(bench):
            if not case.name.endswith("cold"):
                report(case.name)
                found += case.measure().measurements

    def values(figure: str, **facts: str | int) -> list[float]:
        chosen = (each for each in found if each.has(figure, facts))
        return [value for each in chosen for value in each.values]

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
    from tn_export.model import export, serialized
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
    gflops = max(values("matrix product", threads=cores()))
    [mac] = values("multiplications")
    timings = tuple(
        Timing(
            size,
            variant,
            statistics.median(values("latency", size=size, variant=variant)),
            max(values("memory", size=size, variant=variant)),
        )
        for size in sizes
        for variant in VARIANTS
    )
    ratios = {}
    for program, eager in zip(timings[::2], timings[1::2], strict=True):
        speed = 2 * mac * program.size**2 / program.seconds
        ratios[program.size] = eager.seconds / program.seconds, speed / (gflops * 1e9)
    return Speed(gflops, mac, timings, ratios)
