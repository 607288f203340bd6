"""Train generators of textures and of styles with PyTorch.

from tn_train import train_style, train_texture

checkpoint = train_texture("moss.jpg", "moss.pt", minutes=15)
checkpoint = train_style("painting.jpg", "painting.pt", report=print)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tn_train.training import train_style, train_texture

__all__ = ["train_style", "train_texture"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as PEP 562 has it
    """Import on first use, so that the command line need not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tn_train import training  # noqa: PLC0415

    return getattr(training, name)
