"""Run texture-network models with ONNX Runtime: no torch, no onnx.

from tn_runtime import load, stylize, synthesize

model = load("texture.onnx")
picture = synthesize(model, size=(1024, 1024), seed=7)  # uint8 (1024, 1024, 3)

painting = stylize(load("style.onnx"), photo)  # uint8 or uint16 (H, W, 3 or 4), as the photo
"""

from typing import TYPE_CHECKING, Any

from tn_runtime.version import __version__

if TYPE_CHECKING:
    from tn_runtime.session import Model, load
    from tn_runtime.stylization import stylize
    from tn_runtime.synthesis import bands, synthesize

__all__ = ["Model", "__version__", "bands", "load", "stylize", "synthesize"]

_HOMES = {
    "Model": "tn_runtime.session",
    "load": "tn_runtime.session",
    "bands": "tn_runtime.synthesis",
    "stylize": "tn_runtime.stylization",
    "synthesize": "tn_runtime.synthesis",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as PEP 562 has it
    """Import on first use, so that the command line need not wait for numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_HOMES[name]), name)
