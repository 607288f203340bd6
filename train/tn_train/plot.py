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
    """Plot the loss of every evaluation, in all, by layer and by octave, as a PNG.

    Each number of fine levels has lines of its own.
    """
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    style: dict[str, Any] = {"marker": "o" if len(history) <= 30 else "", "markersize": 3}
    colors = dict(zip(history[0].layers, itertools.cycle(COLORS), strict=False))
    for fine, records in itertools.groupby(history, lambda record: record.fine):
        _, *trained = records  # the untrained generator's loss would squeeze all others
        steps = [record.step for record in trained]
        labels = {name: name for name in ("all", *colors)} if not fine else {}
        total = [record.loss for record in trained]
        axes.plot(steps, total, color="black", linewidth=2, label=labels.get("all"), **style)
        for layer in trained[0].layers if trained else ():
            losses = [record.layers[layer] for record in trained]
            label = labels.get(layer)
            axes.plot(steps, losses, color=colors[layer], linewidth=1.2, label=label, **style)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axes.set_xlabel("step")
    axes.set_ylabel("relative squared Gram distance")
    axes.grid(visible=True, which="major", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right upper")
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": made_by()})
