"""Latency and memory: the exported program against the same network by other ways.

Each figure comes from a process of its own. The variants take turns, so that a ratio holds where
the machine's speed drifts.
"""
# ruff: noqa: PLC0415

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tn_bench.config import Extent
from tn_bench.processes import in_process, peak_megabytes, timed
from tn_bench.results import Fact, Measurement
from tn_bench.subjects import Subject
from tn_bench.suites.case import Bench, Case, Device, Found, NotHere, measurement

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

TITLE = "Latency and memory"
VARIANTS = {
    "program": "the exported program, by tn-run's engine",
    "plain": "plain ONNX export of the network (padded convolutions, noise made by the caller)",
    "eager": "PyTorch eager",
    "channels_last": "PyTorch eager, channels_last",
    "compile": "torch.compile, channels_last",
}
HOW = (
    "Each figure is the median of all timed runs of one to several fresh processes; the first run "
    "of a process warms up and does not count. The variants take turns, and a ratio is the median "
    "of the ratios of turns that lie next to each other. All make uint8 pictures from a seed or a "
    "photo of the same size with the same weights; PyTorch gets the network with its batch norms "
    "folded away, as in the program. Memory is the largest resident size of a process that does "
    "nothing else. 'Of the matrix product' is useful operations per second over those of an fp32 "
    "product of 2048x2048 matrices in PyTorch, measured in the same run. Cold is the time from "
    "the start of a process to its first picture. On a GPU all compute in fp32, and its memory is "
    "what the device has in use at the end. Above a quarter of a megapixel tn-run paints a photo "
    "in tiles that share statistics; measuring these and opening a session for them is listed "
    "apart and is part of the figure."
)
GEMM = 2048
"""Side of the square fp32 matrices whose product stands for the machine's speed."""
COLD_SIZE = 512
MOST_PIXELS = 8 * 1024**2
"""Of all pictures that are made at once: PyTorch needs 500 bytes and more for each."""
FIRST_PICTURE = {
    "texture": f"""
from tn_runtime import load, synthesize
synthesize(load(sys.argv[1], sys.argv[2]), size=({COLD_SIZE}, {COLD_SIZE}))
""",
    "style": f"""
import numpy as np
from tn_runtime import load, stylize
stylize(load(sys.argv[1], sys.argv[2]), np.zeros(({COLD_SIZE}, {COLD_SIZE}, 3), np.uint8))
""",
    "eager": f"""
import torch
from tn_bench.networks import load
generator = load(sys.argv[1]).to(sys.argv[2])
shapes = generator.input_shapes(1, {COLD_SIZE}, {COLD_SIZE})
with torch.inference_mode():
    image = generator(*(torch.rand(shape, device=sys.argv[2]) for shape in shapes))
    (image * 255 + 0.5).clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu()
""",
}
"""What a process does whose time is taken from outside; the arguments are a file and a device."""
COST = {"program": 2.0, "plain": 2.5, "eager": 5.0, "channels_last": 5.0, "compile": 18.0}
"""Seconds of a process of a variant, about."""


def cases(bench: Bench) -> Iterator[Case]:
    """Return the cases."""
    extent = bench.extent
    yield Case("matrix product", 4, partial(_matrix_product, bench))
    for subject in bench.first(extent.latency_models):
        yield Case(f"{subject.name}, network", 8, partial(_network, bench, subject))
        batches = extent.batches if subject.kind == "texture" else (1,)
        for size, batch in itertools.product(extent.latency_sizes, batches):
            if batch > 1 and batch * size**2 > MOST_PIXELS:
                continue
            for threads in bench.thread_counts if batch == 1 else bench.thread_counts[-1:]:
                name = f"{subject.name}, {size} px, batch {batch}, {_threads(threads)}"
                pixels = batch * (size / 1024) ** 2
                cost = sum(COST[each] + 2 * pixels for each in extent.variants) * extent.rounds
                work = partial(_compare, bench, subject, size, batch, threads)
                yield Case(name, cost, work)
        yield Case(f"{subject.name}, cold", 5 * extent.cold_runs, partial(_cold, bench, subject))


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _matrix_product(bench: Bench) -> Found:
    found = []
    for threads in bench.thread_counts:
        speeds = in_process(_gemm_gflops, threads, bench.device, bench.extent)
        found.append(measurement("matrix product", "GFLOP/s", speeds, threads=threads))
    return Found(found)


def _network(bench: Bench, subject: Subject) -> Found:
    facts: dict[str, Fact] = {"model": subject.name, "kind": subject.kind}
    found = [
        measurement("multiplications", "per pixel", [bench.multiplications(subject)], **facts),
        measurement("parameters", "", [subject.spec.generator.parameters], **facts),
        measurement("file", "bytes", [subject.model.stat().st_size], **facts),
    ]
    if subject.spec.normalized_channels:
        measuring, opening = in_process(_sharing, subject.model, bench.device, bench.extent)
        found.append(measurement("measuring", "s", measuring, **facts))
        found.append(measurement("opening", "s", opening, **facts))
    return Found(found)


def _compare(bench: Bench, subject: Subject, size: int, batch: int, threads: int) -> Found:
    extent = bench.extent
    found: list[Measurement] = []
    variants = [each for each in extent.variants if batch == 1 or each != "plain"]
    for round_ in range(extent.rounds):
        for variant in variants:
            path = _path(bench, subject, variant)
            seconds, memory = in_process(
                run_variant, variant, path, size, batch, threads, bench.device, extent
            )
            facts: dict[str, Fact] = {
                "model": subject.name,
                "kind": subject.kind,
                "size": size,
                "batch": batch,
                "threads": threads,
                "variant": variant,
                "round": round_,
            }
            found.append(measurement("latency", "s", seconds, **facts))
            found += [
                measurement(figure, "MB", [value], **facts) for figure, value in memory.items()
            ]
    return Found(found)


def _path(bench: Bench, subject: Subject, variant: str) -> Path:
    if variant == "program":
        return subject.model
    return bench.plain(subject) if variant == "plain" else bench.network(subject)


def run_variant(
    variant: str, path: Path, size: int, batch: int, threads: int, device: Device, extent: Extent
) -> tuple[list[float], dict[str, float]]:
    """Return seconds of each run and the peaks of memory of this process, MB."""
    makers = {"program": program, "plain": plain}
    if variant in makers:
        make = makers[variant](path, size, batch, threads, device)
    else:
        make = pytorch(path, size, batch, threads, device, variant)
    seconds = timed(make, extent)
    return seconds, memory(device)


def memory(device: Device) -> dict[str, float]:
    """Return the peaks of memory of this process, MB."""
    peaks = {"memory": peak_megabytes()}
    if device == "cuda":
        from tn_runtime.providers import cuda_memory

        if (there := cuda_memory()) is not None:
            free, total = there
            peaks["GPU memory"] = (total - free) / 1e6
    return peaks


def photo(size: int) -> "NDArray[Any]":
    """Return a photo of noise, uint8 (size, size, 3); its content does not matter to the time."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)


def program(
    path: Path, size: int, batch: int, threads: int, device: Device
) -> Callable[[], object]:
    """Return what makes pictures by the exported program."""
    from tn_runtime import load, stylize, synthesize

    model = load(path, provider=device, threads=threads)
    if model.spec.kind == "style":
        picture = photo(size)
        return lambda: stylize(model, picture)
    return lambda: synthesize(model, size=(size, size), seed=list(range(batch)))


def plain(path: Path, size: int, _batch: int, threads: int, device: Device) -> Callable[[], object]:
    """Return what makes pictures by the plain export, one at a time."""
    import numpy as np

    from tn_runtime import providers

    ort = providers.onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=providers.entries(device))
    channels = [each.shape[1] for each in session.get_inputs()]
    step = 1 << len(channels) - 1
    side = -(-size // step) * step
    rng = np.random.default_rng(0)

    def make() -> "NDArray[Any]":
        levels = {
            f"level_{level}": rng.random((1, count, side >> level, side >> level), np.float32)
            for level, count in enumerate(channels)
        }
        [image] = session.run(None, levels)
        pixels = np.clip(image[..., :size, :size] * 255 + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))

    return make


def pytorch(
    path: Path, size: int, batch: int, threads: int, device: Device, variant: str
) -> Callable[[], object]:
    """Return what makes pictures by PyTorch, and waits until they are in the CPU's memory."""
    import torch

    from tn_bench.networks import load
    from tn_train.pyramid import pyramid, with_noise

    torch.set_num_threads(threads)
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # as the program
    generator = load(path).to(device)
    layout = torch.contiguous_format if variant == "eager" else torch.channels_last
    generator.to(memory_format=layout)  # type: ignore[call-overload]  # untyped
    config = generator.config
    side = -(-size // config.stride) * config.stride
    picture = torch.from_numpy(photo(side)).permute(2, 0, 1)[None]

    def forward(*z: "torch.Tensor") -> "torch.Tensor":
        image: torch.Tensor = generator(*z)[..., :size, :size]
        return (image * 255 + 0.5).clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()

    network = _compiled(forward) if variant == "compile" else forward

    @torch.inference_mode()
    def make() -> "torch.Tensor":
        shapes = generator.input_shapes(batch, side, side)
        z = [
            torch.rand(batch, channels - config.content_channels, *sides, device=device)
            for _, channels, *sides in shapes
        ]
        if config.kind == "style":
            z = with_noise(pyramid(generator, picture.to(device).float() / 255), z)
        z = [level.contiguous(memory_format=layout) for level in z]
        return network(*z).cpu()

    return make


def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    import shutil

    import torch

    if not torch.cuda.is_available() and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        raise NotHere("torch.compile needs a C++ compiler")
    return torch.compile(forward)


def _gemm_gflops(threads: int, device: Device, extent: Extent) -> list[float]:
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    a, b = torch.rand(2, GEMM, GEMM, device=device)

    def make() -> None:
        (a @ b)[0, 0].item()  # waits for the GPU

    return [2 * GEMM**3 / seconds / 1e9 for seconds in timed(make, extent)]


def _sharing(path: Path, device: Device, extent: Extent) -> tuple[list[float], list[float]]:
    """Return the cost of a large photo before its first tile: measuring it, opening a session."""
    import numpy as np

    from tn_runtime import load
    from tn_runtime.stylization import REFERENCE_PIXELS

    model = load(path, provider=device)
    side = int(REFERENCE_PIXELS**0.5)
    values = {"window": [0, 0, side, side], "origin": [0, 0]}
    if model.spec.takes_seed:
        values["seed"] = [0]
    request: dict[str, Any] = {name: np.array(value, np.int64) for name, value in values.items()}
    request["content"] = photo(side)[None]
    measured = model.measure(**request)
    measuring = timed(lambda: model.measure(**request), extent)
    return measuring, timed(lambda: model.given(measured), extent)


def _cold(bench: Bench, subject: Subject) -> Found:
    """Time whole processes from outside."""
    paths = {"program": subject.model, "eager": bench.network(subject)}
    runs: dict[str, list[float]] = {variant: [] for variant in paths}
    for _ in range(bench.extent.cold_runs):
        for variant, path in paths.items():
            runs[variant].append(_first_picture(variant, path, subject.kind, bench.device))
    facts: dict[str, Fact] = {"model": subject.name, "kind": subject.kind, "size": COLD_SIZE}
    return Found(
        [
            measurement("cold", "s", seconds, variant=variant, **facts)
            for variant, seconds in runs.items()
        ]
    )


def _first_picture(variant: str, path: Path, kind: str, device: Device) -> float:
    code = FIRST_PICTURE[kind if variant == "program" else variant]
    words = [sys.executable, "-c", f"import sys\nsys.path[:] = {sys.path!r}\n{code}"]
    words += [str(path), device]
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - start
