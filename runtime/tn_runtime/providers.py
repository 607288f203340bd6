"""Execution providers: which exist here, which can work here, and which one to take.

ONNX Runtime's own list only says what was compiled in, and a session that asks for CUDA where it
cannot load continues on the CPU after a log line. So the driver is asked first, and what a session
really uses is read back from it (`session.py`).
"""

import contextlib
import ctypes
import functools
import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_args

from tn_runtime.errors import RequestError

ProviderChoice = Literal["auto", "cuda", "cpu"]
CHOICES: tuple[ProviderChoice, ...] = get_args(ProviderChoice)

FATAL_ONLY = 4
"""ONNX Runtime's log level; what matters of its messages reaches the user as an exception."""

CUDA_OPTIONS = {
    # EXHAUSTIVE, the default, searches anew for each new shape, and the tiles at the right and
    # bottom differ from window to window; DEFAULT was seen 50 times slower than HEURISTIC
    # (PaddleOCR#17970).
    "cudnn_conv_algo_search": "HEURISTIC",
    # TF32 keeps 10 bits of the mantissa: too few for the pixels that the CPU makes.
    "use_tf32": "0",
}


@dataclass(frozen=True)
class Provider:
    """One way to run a model."""

    name: Literal["cuda", "cpu"]
    obstacle: str | None = None
    """Why it cannot run here; None if nothing was found that would stop it."""


def onnxruntime() -> ModuleType:
    """Import ONNX Runtime, which takes a moment, and keep it from writing to stderr."""
    import onnxruntime as ort  # noqa: PLC0415 - `tn-run --help` must not wait for it

    ort.set_default_logger_severity(FATAL_ONLY)
    return ort  # type: ignore[no-any-return]  # untyped package


def entries(name: Literal["cuda", "cpu"]) -> list[Any]:
    """Return the `providers` argument of an ONNX Runtime session."""
    if name == "cuda":
        return [("CUDAExecutionProvider", CUDA_OPTIONS), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def used(session: Any) -> Literal["cuda", "cpu"]:  # noqa: ANN401 - untyped package
    """Read back what a session really runs on."""
    return "cuda" if "CUDAExecutionProvider" in session.get_providers() else "cpu"


def check_choice(provider: str) -> None:
    """Refuse names that are no choice.

    Raises:
        RequestError: not one of `CHOICES`.
    """
    if provider not in CHOICES:
        raise RequestError(f"provider {provider!r} is unknown; choose one of {', '.join(CHOICES)}")


@functools.cache
def cuda() -> Provider:
    """Look for reasons why CUDA cannot run here, and load its libraries if there are none."""
    ort = onnxruntime()
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return Provider("cuda", "this build of ONNX Runtime has no CUDA (onnxruntime-gpu has)")
    obstacle = _driver_obstacle()
    if obstacle is None and hasattr(ort, "preload_dlls"):
        # It finds the libraries that torch or the nvidia wheels brought, and prints what it misses.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
            ort.preload_dlls()
    return Provider("cuda", obstacle)


def _driver_obstacle() -> str | None:
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return f"no NVIDIA GPU, or no driver for it ({library} does not load)"
    status = driver.cuInit(0)
    if status != 0:
        return f"the NVIDIA driver does not start (cuInit gives error {status})"
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver sees no GPU"
    return None


def double_installation() -> str | None:
    """Return the line that mends onnxruntime and onnxruntime-gpu installed over one another."""
    names = ("onnxruntime", "onnxruntime-gpu")
    if not all(_installed(name) for name in names):
        return None
    return (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    )


def _installed(name: str) -> bool:
    import importlib.metadata  # noqa: PLC0415 - `tn-run --help` must not wait for it

    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
