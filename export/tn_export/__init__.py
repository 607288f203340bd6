"""Export trained generators to self-contained ONNX programs.

from tn_export import export

spec = export("moss.pt", "moss.onnx")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tn_export.core_file import export_core
    from tn_export.model import export

__all__ = ["export", "export_core"]

_HOMES = {"export": "tn_export.model", "export_core": "tn_export.core_file"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as PEP 562 has it
    """Import on first use, so that the command line need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_HOMES[name]), name)
