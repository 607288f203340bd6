"""How time and memory grow: with the picture, with the number of photos, with the threads."""
# ruff: noqa: PLC0415

import io
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from tn_bench.machine import cores
from tn_bench.processes import in_process, timed
from tn_bench.results import Fact
from tn_bench.subjects import Subject
from tn_bench.suites.case import Bench, Case, Device, Found, NotHere, measurement
from tn_bench.suites.latency import memory
from tn_train import photos

TITLE = "Scaling"
HOW = (
    "Streamed pictures: `tn-run texture MODEL -o FILE.png --size N`, the whole command in a fresh "
    "process, once per size, from its call to the finished file, import of the libraries left "
    "out; memory is the process's largest resident size. A folder of photos: `tn-run style MODEL "
    "FOLDER -o FOLDER`, decoding and encoding included, photos of 400 to 711 pixels, JPEG to "
    "JPEG. Threads: a texture of 1024 px, warm, the median of the runs of a process."
)
MEGAPIXELS_PER_SECOND = 4.5
"""Of two cores, about."""
THREADS_SIZE = 1024


def cases(bench: Bench) -> Iterator[Case]:
    """Return the cases."""
    for subject in bench.textures[:1]:
        for size in bench.extent.scaling_sizes:
            cost = 3 + size**2 / 1e6 / MEGAPIXELS_PER_SECOND
            yield Case(f"{subject.name}, {size} px", cost, partial(_stream, bench, subject, size))
        if bench.device == "cpu":
            for threads in _thread_counts():
                work = partial(_threads, bench, subject, threads)
                yield Case(f"{subject.name}, {threads} of the threads", 6, work)
    for subject in bench.styles[:1]:
        cost = 4 + 0.2 * bench.extent.photos
        yield Case(f"{subject.name}, a folder", cost, partial(_folder, bench, subject))


def _thread_counts() -> list[int]:
    """Return 1, 2, 4 ... and all."""
    powers = [1 << k for k in range(cores().bit_length()) if 1 << k < cores()]
    return [*powers, cores()]


def _facts(subject: Subject) -> dict[str, Fact]:
    return {"model": subject.name, "kind": subject.kind}


def _stream(bench: Bench, subject: Subject, size: int) -> Found:
    free = shutil.disk_usage(bench.work).free
    if 3 * size**2 > free:
        raise NotHere(f"a PNG of {size} px may take {3 * size**2 / 1e9:.1f} GB, and {bench.work} "
                      f"has {free / 1e9:.1f} GB left")  # fmt: skip
    words = ["texture", str(subject.model), "-o", "{folder}/out.png", "--size", str(size)]
    seconds, peaks = in_process(run_command, words, bench.device)
    facts = _facts(subject) | {"size": size}
    found = [measurement("streaming", "s", [seconds], **facts)]
    found += [measurement(f"streaming {name}", "MB", [mb], **facts) for name, mb in peaks.items()]
    return Found(found)


def _folder(bench: Bench, subject: Subject) -> Found:
    source = bench.work / "photos"
    source.mkdir(exist_ok=True)
    packaged = sorted(photos.PACKAGED.glob("*.jpg"))
    for number in range(bench.extent.photos):
        path = packaged[number % len(packaged)]
        shutil.copyfile(path, source / f"{number:03}_{path.name}")
    words = ["style", str(subject.model), str(source), "-o", "{folder}"]
    seconds, peaks = in_process(run_command, words, bench.device)
    facts = _facts(subject) | {"photos": bench.extent.photos}
    found = [measurement("folder", "s", [seconds], **facts)]
    found += [measurement(f"folder {name}", "MB", [mb], **facts) for name, mb in peaks.items()]
    return Found(found)


def run_command(words: Sequence[str], device: Device) -> tuple[float, dict[str, float]]:
    """Return the seconds that a command of tn-run takes, and the peaks of memory of this process.

    `{folder}` in its words is a folder for its output, which is removed afterwards.
    """
    import numpy as np  # noqa: F401 - what the command imports is not to be timed
    import onnxruntime  # noqa: F401

    from tn_runtime import stylize, synthesize  # noqa: F401
    from tn_runtime.cli import app

    with tempfile.TemporaryDirectory() as folder:
        words = [word.format(folder=folder) for word in words]
        with redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            app([*words, "--provider", device, "--json"], standalone_mode=False)
            seconds = time.perf_counter() - start
        return seconds, memory(device)


def _threads(bench: Bench, subject: Subject, threads: int) -> Found:
    seconds = in_process(run_threads, subject.model, threads, bench)
    return Found(
        [
            measurement(
                "threads", "s", seconds, threads=threads, size=THREADS_SIZE, **_facts(subject)
            )
        ]
    )


def run_threads(model: Path, threads: int, bench: Bench) -> list[float]:
    """Return the seconds of each run on so many threads."""
    from tn_runtime import load, synthesize

    loaded = load(model, "cpu", threads)
    return timed(lambda: synthesize(loaded, (THREADS_SIZE, THREADS_SIZE)), bench.extent)
