"""The fingerprint of the machine that figures come from, and what else it is busy with."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

import psutil

from tn_bench.results import Machine

PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "onnx", "numpy", "pillow", "pyvips")
UNITS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve")
"""Flags of /proc/cpuinfo."""


def fingerprint() -> Machine:
    """Return the facts about this machine."""
    flags = _cpu_facts("flags", "Features").split()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_cpu_facts("model name") or platform.processor() or platform.machine(),
        vector_units=tuple(unit for unit in UNITS if unit in flags),
        cores=cores(),
        memory=round(psutil.virtual_memory().total / 1e9, 1),
        gpu=_gpu(),
        versions={"python": platform.python_version()} | _versions(),
    )


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str:
    """Return the commit that this code is of, `-dirty` with changes; empty outside of a clone."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


class Watch:
    """Measures how much of the processor others take, from when it is made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.busy, self.own = _busy(), _own()

    @property
    def seconds(self) -> float:
        """Time since then."""
        return time.perf_counter() - self.start

    @property
    def others(self) -> float:
        """Share of all processors that processes other than this and its children took, 0 to 1.

        A child counts as its parent's when it has ended.
        """
        taken = _busy() - self.busy - (_own() - self.own)
        share = taken / (self.seconds * (psutil.cpu_count() or 1))
        return round(min(1.0, max(0.0, share)), 3)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _cpu_facts(*names: str) -> str:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def _gpu() -> str:
    words = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe(machine: Machine) -> str:
    """Return one line about a machine."""
    units = f" with {', '.join(machine.vector_units)}" if machine.vector_units else ""
    gpu = f", {machine.gpu}" if machine.gpu else ""
    cores_ = "core" if machine.cores == 1 else "cores"
    return (
        f"{machine.cores} {cores_} of {machine.processor}{units}, {machine.memory:.0f} GB{gpu}, "
        f"{machine.system}"
    )
