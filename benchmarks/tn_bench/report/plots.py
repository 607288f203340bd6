"""Plots as SVG that takes its colours from the page, in a shape for desktops and one for phones."""

import io
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter, NullLocator

from tn_bench.report.view import Plot

INK, MUTED, GRID = "#010203", "#020304", "#030405"
SERIES = ("#111213", "#212223", "#313233", "#414243", "#515253")
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line"} | {
    color: f"series-{number}" for number, color in enumerate(SERIES, start=1)
}
"""Colours that stand for the page's: `var(--ink)` and so on."""
MARKERS = ("o", "s", "^", "D", "v")
SHAPES = {"wide": (5.9, 3.3), "narrow": (3.7, 3.4)}
"""Inches, of 72 pixels."""


@dataclass(frozen=True)
class Line:
    """One curve."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    points: bool = True
    """Mark the points."""
    dashed: bool = False


@dataclass(frozen=True)
class Band:
    """A level with its spread, from left to right."""

    label: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A place on a curve, and a word beside it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    """The data and labels of a plot."""

    name: str
    title: str
    alternative: str
    x: str
    y: str
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    log: tuple[bool, bool] = (True, True)
    ticks: Sequence[float] = field(default_factory=tuple)
    """Ticks of the horizontal axis; matplotlib chooses them if it is empty."""
    format_x: Callable[[float], str] | None = None
    format_y: Callable[[float], str] | None = None


def plot(chart: Chart) -> Plot:
    """Draw a chart in both shapes."""
    wide, narrow = (_svg(chart, shape) for shape in SHAPES)
    return Plot(chart.name, chart.title, chart.alternative, wide, narrow)


def _svg(chart: Chart, shape: str) -> str:
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"{chart.name}-{shape}",
        "font.family": "DejaVu Sans",
        "font.size": 10,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=SHAPES[shape], layout="constrained", facecolor="none")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _draw(chart, axes)
        handles, labels = axes.get_legend_handles_labels()
        if len(labels) > 1:
            figure.legend(
                handles,
                labels,
                loc="outside upper left",
                ncols=2 if shape == "narrow" else 3,
                frameon=False,
                labelcolor=INK,
                fontsize=9,
                handlelength=1.8,
                columnspacing=1.2,
                borderpad=0,
            )
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return _themed(stream.getvalue(), chart.alternative)


def _draw(chart: Chart, axes: Axes) -> None:
    for number, line in enumerate(chart.lines):
        color = SERIES[number % len(SERIES)]
        axes.plot(
            line.x,
            line.y,
            color=color,
            linewidth=2,
            linestyle="--" if line.dashed else "-",
            marker=MARKERS[number % len(MARKERS)] if line.points else "",
            markersize=5,
            label=line.label,
            solid_capstyle="round",
        )
    colors = itertools.islice(itertools.cycle(SERIES), len(chart.lines), None)
    for band, color in zip(chart.bands, colors, strict=False):
        axes.axhspan(band.low, band.high, color=color, alpha=0.18, linewidth=0)
        axes.axhline(band.middle, color=color, linewidth=2, linestyle="--", label=band.label)
    for mark in chart.marks:
        axes.plot([mark.x], [mark.y], marker="o", markersize=8, color=INK, fillstyle="none")
        axes.annotate(
            mark.text,
            (mark.x, mark.y),
            xytext=(8, 9),
            textcoords="offset points",
            color=INK,
            fontsize=9,
        )
    _dress(chart, axes)


def _dress(chart: Chart, axes: Axes) -> None:
    for axis, log, wanted in (
        (axes.xaxis, chart.log[0], chart.format_x),
        (axes.yaxis, chart.log[1], chart.format_y),
    ):
        if log:
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
            axis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        if wanted:
            shown = wanted
            axis.set_major_formatter(FuncFormatter(lambda value, _, shown=shown: shown(value)))
            if log:
                axis.set_minor_formatter(
                    FuncFormatter(lambda value, _, axis=axis, shown=shown: _few(axis, value, shown))
                )
    if chart.ticks:
        axes.set_xticks(chart.ticks)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(chart.x, color=MUTED, fontsize=9)
    axes.set_ylabel(chart.y, color=MUTED, fontsize=9)
    axes.grid(visible=True, which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(which="both", color=GRID, labelcolor=MUTED, labelsize=9, length=0)


def _few(axis: object, value: float, shown: Callable[[float], str]) -> str:
    """Label minor ticks of a logarithmic axis only where it spans little, and at 2 and 5."""
    low, high = sorted(axis.get_view_interval())  # type: ignore[attr-defined]  # an Axis
    lead = f"{value:e}"[0]
    return shown(value) if high / low < 30 and lead in "25" else ""


def _themed(svg: str, alternative: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    for color, name in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    words = alternative.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)


LIGHT = {
    "ink": "#1b1f24",
    "muted": "#5b6470",
    "line": "#d9dde3",
    "series-1": "#0b6e99",
    "series-2": "#c2410c",
    "series-3": "#15803d",
    "series-4": "#7c3aed",
    "series-5": "#a16207",
}
DARK = {
    "ink": "#e8ebef",
    "muted": "#9aa4b2",
    "line": "#333b46",
    "series-1": "#56b6e0",
    "series-2": "#fb923c",
    "series-3": "#4ade80",
    "series-4": "#b79bff",
    "series-5": "#facc15",
}
"""The page has the same."""


def standalone(svg: str) -> str:
    """Return a plot with colours of its own, to be a file."""
    light, dark = (_variables(colors) for colors in (LIGHT, DARK))
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    end = svg.index(">") + 1
    return f"{svg[:end]}{style}{svg[end:]}"


def _variables(colors: dict[str, str]) -> str:
    return ";".join(f"--{name}:{color}" for name, color in colors.items())
