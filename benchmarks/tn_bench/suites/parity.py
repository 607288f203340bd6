"""The same pixels everywhere: PyTorch, ONNX Runtime on the CPU, and CUDA where it is."""
# ruff: noqa: PLC0415

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tn_bench.processes import in_process
from tn_bench.results import Fact
from tn_bench.subjects import Subject
from tn_bench.suites.case import Bench, Case, Found, NotHere, measurement

TITLE = "Parity"
HOW = (
    "PyTorch: the network is rebuilt from the weights in the model file, and compared with the "
    "file on the windows of the exporter's proof (`tn_export.verify`): odd sizes, 1x1, far away, "
    "periodic, batches; for styles parts of photos, beyond the edges, statistics measured and "
    "given. Largest differences; a float stands for a colour in [0, 1], a level is 1/255. Threads "
    "and tiles: a picture of 600x530 px on one thread against all threads, and against windows "
    "put together, byte by byte. CUDA: the same pictures as on the CPU."
)
SIZE = (600, 530)
"""(height, width): more than one tile, no multiple of anything."""


def cases(bench: Bench) -> Iterator[Case]:
    """Return the cases."""
    for subject in bench.subjects:
        yield Case(f"{subject.name}, PyTorch", 8, partial(_pytorch, subject))
        yield Case(f"{subject.name}, threads and tiles", 4, partial(_threads, subject))
        yield Case(f"{subject.name}, CUDA", 5, partial(_cuda, subject))


def _facts(subject: Subject) -> dict[str, Fact]:
    return {"model": subject.name, "kind": subject.kind}


def _pytorch(subject: Subject) -> Found:
    windows, floats, pixels = in_process(against_pytorch, subject.model)
    facts = _facts(subject) | {"against": "PyTorch"}
    return Found(
        [
            measurement("windows", "", [windows], **facts),
            measurement("largest difference", "of 1", [floats], **facts),
            measurement("largest difference", "levels", [pixels], **facts),
        ]
    )


def against_pytorch(model: Path) -> tuple[int, float, int]:
    """Return the number of windows, and the largest differences of floats and of pixels.

    Raises:
        ParityError: they are larger than the exporter allows.
    """
    from tn_export.core import core_model
    from tn_export.graph import serialized
    from tn_export.source import read_source
    from tn_export.verify import prove

    generator = read_source(model).generator
    parity = prove(generator, serialized(core_model(generator)), model.read_bytes())
    return parity.windows, parity.float_error, parity.pixel_error


def _threads(subject: Subject) -> Found:
    compared = in_process(against_itself, subject.model)
    return Found(
        [
            measurement("differing samples", "", [count], against=what, **_facts(subject))
            for what, count in compared.items()
        ]
    )


def against_itself(model: Path) -> dict[str, int]:
    """Return how many samples differ between one thread and all, and between whole and parts."""
    import numpy as np

    from tn_runtime import load, stylize, synthesize
    from tn_runtime.session import Model

    def make(model: Model) -> np.ndarray:
        if model.spec.kind == "texture":
            return synthesize(model, SIZE, seed=3, origin=(-7, 11))
        photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        return stylize(model, photo)

    several = load(model, "cpu")
    picture = make(several)
    compared = {"one thread": int((make(load(model, "cpu", 1)) != picture).sum())}
    if several.spec.kind == "texture":
        parts = [
            synthesize(several, (height, SIZE[1]), seed=3, origin=(y - 7, 11))
            for y, height in ((0, 201), (201, SIZE[0] - 201))
        ]
        compared["windows"] = int((np.concatenate(parts) != picture).sum())
    return compared


def _cuda(subject: Subject) -> Found:
    from tn_runtime import providers

    obstacle = providers.cuda().obstacle
    if obstacle is not None:
        raise NotHere(obstacle)
    largest, share = in_process(against_cuda, subject.model)
    facts = _facts(subject) | {"against": "CUDA"}
    return Found(
        [
            measurement("largest difference", "levels", [largest], **facts),
            measurement("differing share", "", [share], **facts),
        ]
    )


def against_cuda(model: Path) -> tuple[int, float]:
    """Return the largest difference between CPU and CUDA in levels, and the share that differs."""
    import numpy as np

    from tn_runtime import load, stylize, synthesize

    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    pictures = []
    for provider in ("cpu", "cuda"):
        loaded = load(model, provider)
        is_texture = loaded.spec.kind == "texture"
        made = synthesize(loaded, SIZE, seed=3) if is_texture else stylize(loaded, photo)
        pictures.append(made.astype(int))
    difference = np.abs(pictures[0] - pictures[1])
    return int(difference.max()), float((difference > 0).mean())
