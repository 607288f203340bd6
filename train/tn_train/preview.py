"""The picture that is renewed while a run goes: the exemplar, samples beside it."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tn_runtime.pictures import Rows, below_one_another, save, side_by_side
from tn_runtime.pixels import Pixels, from_unit
from tn_runtime.version import __version__

SOFTWARE = "texture-networks"
"""Start of the text that names the maker of a picture."""


def made_by() -> str:
    """Return the text by which tn-train recognises its own pictures."""
    return f"{SOFTWARE} {__version__}"


def write_preview(path: Path, exemplars: Sequence[Tensor], samples: Tensor) -> None:
    """Write a line for each exemplar, its samples beside it, as a PNG.

    Args:
        path: of the file, which appears whole.
        exemplars: each float32 (1, 3, H, W), RGB in [0, 1].
        samples: float32 (N, 3, h, w), the same; as many of each exemplar, in their order.
    """
    lines = [
        side_by_side([_pixels(picture) for picture in (*exemplar, *own)])
        for exemplar, own in zip(exemplars, samples.chunk(len(exemplars)), strict=True)
    ]
    save(path, Rows.of_array(below_one_another(lines), {"Software": made_by()}))


def _pixels(picture: Tensor) -> Pixels:
    """Turn float32 (3, H, W) in [0, 1] into uint8 (H, W, 3)."""
    return from_unit(picture.cpu().permute(1, 2, 0).numpy())
