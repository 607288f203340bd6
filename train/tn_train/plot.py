"""The loss curve of a run."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from tn_runtime.files import atomic
from tn_train.checkpoint import Record
from tn_train.preview import made_by

COLORS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")
"""Paul Tol's bright scheme: distinct to the colour-blind too."""


def write_curve(path: Path, history: Sequence[Record]) -> None:
    """Plot the loss of every evaluation, in all, by layer and by octave, as a PNG."""
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    trained = history[1:]  # the untrained generator's loss would squeeze all others
    steps = [record.step for record in trained]
    style: dict[str, Any] = {"marker": "o" if len(steps) < 30 else "", "markersize": 3}
    total = [record.loss for record in trained]
    axes.plot(steps, total, color="black", linewidth=2, label="all", **style)
    for layer, color in zip(history[0].layers, itertools.cycle(COLORS)):
        losses = [record.layers[layer] for record in trained]
        axes.plot(steps, losses, color=color, linewidth=1.2, label=layer, **style)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axes.set_xlabel("step")
    axes.set_ylabel("relative squared Gram distance")
    axes.grid(visible=True, which="major", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right upper")
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": made_by()})
