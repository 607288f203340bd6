"""Pictures about a run: the preview while it goes, the loss curve at its end."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from torch import Tensor

from tn_runtime.files import atomic
from tn_runtime.image import Picture, Pixels, write_picture
from tn_train.checkpoint import Record

GAP = 8
"""Pixels between the pictures of a preview."""
COLORS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")
"""Paul Tol's bright scheme: distinct to the colour-blind too."""


def write_preview(path: Path, exemplar: Tensor, samples: Tensor) -> None:
    """Write the exemplar, then samples beside it, as a PNG.

    Args:
        path: of the file, which appears whole.
        exemplar: float32 (1, 3, H, W), RGB in [0, 1].
        samples: float32 (N, 3, h, w), the same.
    """
    pictures = [_pixels(picture) for picture in (*exemplar, *samples)]
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] + GAP for picture in pictures) - GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    x = 0
    for picture in pictures:
        sheet[: picture.shape[0], x : x + picture.shape[1]] = picture
        x += picture.shape[1] + GAP
    write_picture(path, Picture([sheet], height, width, metadata={}))


def write_curve(path: Path, history: Sequence[Record], title: str) -> None:
    """Plot the loss of every evaluation, in all and by layer, as a PNG."""
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    trained = history[1:]  # the untrained generator's loss would squeeze all others
    steps = [record.step for record in trained]
    style: dict[str, Any] = {"marker": "o" if len(steps) < 30 else "", "markersize": 3}
    total = [record.loss for record in trained]
    axes.plot(steps, total, color="black", linewidth=2, label="all layers", **style)
    for layer, color in zip(history[0].layers, itertools.cycle(COLORS)):
        losses = [record.layers[layer] for record in trained]
        axes.plot(steps, losses, color=color, linewidth=1.2, label=layer, **style)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axes.set_xlabel("step")
    axes.set_ylabel("relative squared Gram distance")
    axes.set_title(title, loc="left")
    axes.grid(visible=True, which="major", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2)
    with atomic(path) as temporary:
        figure.savefig(temporary)


def _pixels(picture: Tensor) -> Pixels:
    """Turn float32 (3, H, W) in [0, 1] into uint8 (H, W, 3)."""
    return (picture.cpu().permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
