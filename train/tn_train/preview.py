"""The picture that is renewed while a run goes: the exemplar, samples beside it."""

from pathlib import Path

from torch import Tensor

from tn_runtime.pictures import Rows, save, side_by_side
from tn_runtime.pixels import Pixels, from_unit
from tn_runtime.version import __version__

SOFTWARE = "texture-networks"
"""What the text begins with that says who made a picture."""


def made_by() -> str:
    """Return the text by which pictures beside a checkpoint are known again."""
    return f"{SOFTWARE} {__version__}"


def write_preview(path: Path, exemplar: Tensor, samples: Tensor) -> None:
    """Write the exemplar, then samples beside it, as a PNG.

    Args:
        path: of the file, which appears whole.
        exemplar: float32 (1, 3, H, W), RGB in [0, 1].
        samples: float32 (N, 3, h, w), the same.
    """
    pictures = [_pixels(picture) for picture in (*exemplar, *samples)]
    save(path, Rows.of_array(side_by_side(pictures), {"Software": made_by()}))


def _pixels(picture: Tensor) -> Pixels:
    """Turn float32 (3, H, W) in [0, 1] into uint8 (H, W, 3)."""
    return from_unit(picture.cpu().permute(1, 2, 0).numpy())
