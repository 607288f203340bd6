"""A contact sheet of models: the swatch of each, its name below it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tn_runtime import console
from tn_runtime.console import STDOUT
from tn_runtime.pictures import WHITE, Rows, below_one_another, check_output, save, side_by_side
from tn_runtime.pixels import Pixels
from tn_runtime.session import load
from tn_runtime.swatches import SIDE, swatch
from tn_runtime.version import __version__

LINE = 24
"""Pixels of height for a name."""
TEXT = 15
"""Pixels, the size of its letters."""
INK = 48


def write(path: Path, names: Sequence[str]) -> None:
    """Draw the models of these names and write the sheet, `-` to stdout.

    Raises:
        PictureError: it cannot be written.
        ModelError: a model failed.
    """
    check_output(Path("stdout.png") if path == STDOUT else path, 1, 1)
    with console.bar("models") as progress:
        cells = []
        for name in names:
            model = load(name)
            cells.append(below_one_another([swatch(model), _label(name)]))
            progress(len(cells), len(names))
    columns = math.ceil(math.sqrt(len(cells)))
    starts = range(0, len(cells), columns)
    lines = [side_by_side(cells[start : start + columns]) for start in starts]
    rows = Rows.of_array(below_one_another(lines), {"Software": f"texture-networks {__version__}"})
    if path == STDOUT:
        console.write_png(rows)
    else:
        save(path, rows)


def _label(text: str) -> Pixels:
    """Return a line of text, uint8 (LINE, SIDE, 3); what is too long is cut off."""
    image = Image.new("RGB", (SIDE, LINE), (WHITE, WHITE, WHITE))
    font = ImageFont.load_default(TEXT)
    ImageDraw.Draw(image).text((0, 0), text, (INK, INK, INK), font)
    return np.asarray(image)
