"""Measuring in a process of its own.

Peak memory is a property of a process, and idle threads of one engine slow another down. Functions
that run there import what they need themselves: PyTorch's memory must not count as ONNX Runtime's.
"""
# ruff: noqa: PLC0415

import multiprocessing
import re
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

import psutil

from tn_bench.config import Extent
from tn_runtime.errors import TextureNetworksError

T = TypeVar("T")


class ProcessError(TextureNetworksError):
    """A process that measures ended without a result."""


def in_process(function: Callable[..., T], *arguments: object) -> T:
    """Run a function of a module in a fresh process; return what it returns.

    Raises:
        ProcessError: it was killed, as happens where memory is out, or the function raised what
            cannot be sent.
        Exception: what the function raised.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        returned, value = receiver.recv()
    except EOFError as error:
        process.join()
        raise ProcessError(
            f"the process of {function.__name__} ended with code {process.exitcode}"
        ) from error
    finally:
        process.kill()  # optimisation and training would hold a milder signal back
        process.join()
    if not returned:
        raise value
    return cast("T", value)


def _call(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    try:
        sender.send((True, function(*arguments)))
    except Exception as error:  # the parent raises it
        try:
            sender.send((False, error))
        except Exception:  # it cannot be pickled
            sender.send((False, ProcessError(f"{type(error).__name__}: {error}")))


def timed(make: Callable[[], object], extent: Extent) -> list[float]:
    """Return the seconds of each run; the first, which is not counted, warms up."""
    make()
    runs: list[float] = []
    while len(runs) < extent.runs or sum(runs) < extent.seconds:
        start = time.perf_counter()
        make()
        runs.append(time.perf_counter() - start)
    return runs


def peak_megabytes() -> float:
    """Return the largest resident memory that this process has had, in MB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage also counts what the parent had before this process
        [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(peak) * 1024 / 1e6
    import resource  # not there on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
