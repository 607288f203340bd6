"""Execution providers: which exist here, which can work here, and which one to take.

ONNX Runtime's own list only says what was compiled in, and a session that asks for CUDA where it
cannot load continues on the CPU after a log line. So the driver is asked first, and what a session
really uses is read back from it (`session.py`).
"""

import contextlib
import ctypes
import functools
import os
import platform
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_args

from tn_runtime.errors import ProviderError, RequestError

ProviderChoice = Literal["auto", "cuda", "cpu"]
CHOICES: tuple[ProviderChoice, ...] = get_args(ProviderChoice)

CPU_WHEEL, GPU_WHEEL = DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
"""Both are the package `onnxruntime`."""

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""The library of NVIDIA's driver."""

FATAL_ONLY = 4
"""ONNX Runtime's log level; the messages that matter reach the user as exceptions."""

CUDA_OPTIONS = {
    # EXHAUSTIVE, the default, searches anew for each new shape, and the tiles at the right and
    # bottom differ from window to window; DEFAULT was seen 50 times slower than HEURISTIC
    # (PaddleOCR#17970).
    "cudnn_conv_algo_search": "HEURISTIC",
    # TF32 keeps 10 bits of the mantissa: too few for the pixels that the CPU makes.
    "use_tf32": "0",
}


CPU_TILE = 256
"""Pixels, side of the largest part of a picture that one run makes. Of 128 to 1024, tried on the
paper's generator on two cores, this took least time per pixel (512: 1.1 times, 1024: 1.25 times),
and a third of 512's memory. A K=5 style on one core took 1.1 times the least (512: 1.2 times). So
it is with more levels, though their halo is wide: what it costs is coarse (textures of K = 5 to 9,
benchmarks/lab/fullres.md)."""
CUDA_TILE = 2048
"""The same on a GPU with enough memory. Small tiles fit a CPU's cache; a GPU wants work for
thousands of threads, and every run costs it a start and a copy."""
BYTES_PER_PIXEL = 2048
"""Memory of a run per pixel, at most: the paper's generator took 1155 bytes at 1024 px."""
CUDA_SHARE = 0.25
"""Of the GPU's free memory, that one run may take: ONNX Runtime's arena grows by doubling."""


@dataclass(frozen=True)
class Provider:
    """One way to run a model."""

    name: Literal["cuda", "cpu"]
    obstacle: str | None = None
    """Why it cannot run here; None if nothing was found that would stop it."""


def onnxruntime() -> ModuleType:
    """Import ONNX Runtime, which takes a moment, and keep it from writing to stderr.

    Raises:
        ProviderError: it is not installed, or the installation is broken.
    """
    try:
        import onnxruntime as ort  # noqa: PLC0415 - `tn-run --help` must not wait for it
    except ImportError as error:
        if error.name == "onnxruntime":
            raise ProviderError(
                f"ONNX Runtime is not installed: pip install {_distribution()}"
            ) from error
        reason = str(error).partition("\n")[0]
        raise ProviderError(f"ONNX Runtime does not load ({reason}); {_way_out()}") from error
    if not hasattr(ort, "InferenceSession"):
        # Removing one of two wheels that share a folder leaves a package with nothing inside.
        raise ProviderError(f"ONNX Runtime's folder is left, but not its files; {_way_out()}")
    ort.set_default_logger_severity(FATAL_ONLY)
    return ort  # type: ignore[no-any-return]  # untyped package


def _way_out() -> str:
    redistributable = "install Microsoft's Visual C++ Redistributable, and if that is not it, "
    return double_installation() or (
        f"{redistributable if sys.platform == 'win32' else ''}"
        f"install it anew: pip install --force-reinstall {_distribution()}"
    )


def _distribution() -> str:
    """Return the name of ONNX Runtime's wheel: the installed one, or as in pyproject.toml."""
    for name in DISTRIBUTIONS:
        if _installed(name):
            return name
    system = (sys.platform, platform.machine())
    return GPU_WHEEL if system in {("linux", "x86_64"), ("win32", "AMD64")} else CPU_WHEEL


def entries(name: Literal["cuda", "cpu"]) -> list[Any]:
    """Return the `providers` argument of an ONNX Runtime session."""
    if name == "cuda":
        return [("CUDAExecutionProvider", CUDA_OPTIONS), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def used(session: Any) -> Literal["cuda", "cpu"]:  # noqa: ANN401 - untyped package
    """Read back what a session really runs on."""
    return "cuda" if "CUDAExecutionProvider" in session.get_providers() else "cpu"


def check_choice(provider: str) -> None:
    """Refuse unknown names.

    Raises:
        RequestError: not one of `CHOICES`.
    """
    if provider not in CHOICES:
        raise RequestError(f"provider {provider!r} is unknown; choose one of {', '.join(CHOICES)}")


@functools.cache
def cuda() -> Provider:
    """Look for reasons why CUDA cannot run here, and load its libraries if there are none.

    Raises:
        ProviderError: ONNX Runtime itself does not work.
    """
    ort = onnxruntime()
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return Provider("cuda", "this build of ONNX Runtime has no CUDA (onnxruntime-gpu has)")
    obstacle = _driver_obstacle()
    if obstacle is None and hasattr(ort, "preload_dlls"):
        # It finds the libraries that torch or the nvidia wheels brought, and prints what it misses.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
            ort.preload_dlls()
    return Provider("cuda", obstacle)


def tile(name: Literal["cuda", "cpu"]) -> int:
    """Return the side in pixels of the largest part of a picture that one run should make."""
    if name == "cpu":
        return CPU_TILE
    free, _ = cuda_memory() or (0, 0)
    return fitting_tile(free)


def fitting_tile(free: int) -> int:
    """Return the tile for a GPU with so many free bytes: a multiple of the CPU's."""
    side = int((CUDA_SHARE * free / BYTES_PER_PIXEL) ** 0.5)
    return min(max(side // CPU_TILE, 1) * CPU_TILE, CUDA_TILE)


def cuda_memory() -> tuple[int, int] | None:
    """Return the free and all bytes of the first GPU's memory; None where there is none."""
    if _driver_obstacle() is not None:
        return None
    driver = ctypes.CDLL(DRIVER)
    device, context = ctypes.c_int(0), ctypes.c_void_p()
    # ONNX Runtime and PyTorch work in this context, too.
    if driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) != 0:
        return None
    try:
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        if driver.cuCtxPushCurrent_v2(context) != 0:
            return None
        status = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        return (free.value, total.value) if status == 0 else None
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)


def _driver_obstacle() -> str | None:
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"no NVIDIA GPU, or no driver for it ({DRIVER} does not load)"
    status = driver.cuInit(0)
    if status != 0:
        return f"the NVIDIA driver does not start (cuInit gives error {status})"
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver sees no GPU"
    return None


def double_installation() -> str | None:
    """Return the line that mends onnxruntime and onnxruntime-gpu installed over one another."""
    if not all(_installed(name) for name in DISTRIBUTIONS):
        return None
    return (
        f"{CPU_WHEEL} and {GPU_WHEEL} are both installed and overwrite each other's files: "
        f"pip uninstall -y {CPU_WHEEL} {GPU_WHEEL} && pip install {GPU_WHEEL}"
    )


def _installed(name: str) -> bool:
    import importlib.metadata  # noqa: PLC0415 - `tn-run --help` must not wait for it

    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
