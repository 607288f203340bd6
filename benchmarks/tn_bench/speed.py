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
        latency_models=1,
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
