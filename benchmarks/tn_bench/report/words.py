"""Figures as words."""

import math
import statistics
from collections.abc import Sequence

from tn_bench.report.view import MISSING, Cell, Tone

UNKNOWN = Cell(MISSING)


def duration(seconds: float) -> str:
    """Return `12 ms`, `1.20 s`, `34 s`, `2 min 05 s` or `1 h 02 min`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.{0 if seconds >= 0.00995 else 1}f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def tick(seconds: float) -> str:
    """Return a time beside an axis: `10 ms`, `0.1 s`, `100 s`."""
    return f"{seconds * 1000:g} ms" if seconds < 0.0995 else f"{seconds:g} s"


def ticks_size(megabytes: float) -> str:
    """Return a size beside an axis: `200 MB`, `2 GB`."""
    return f"{megabytes:g} MB" if megabytes < 1000 else f"{megabytes / 1000:g} GB"


def between(low: str, high: str) -> str:
    """Return `1.2 to 1.8×` of two texts with a unit of one letter; one where they are alike."""
    return low if low == high else f"{low[:-1]} to {high}"


def counted(count: int, noun: str) -> str:
    """Return `1 case` or `2 cases`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def size(megabytes: float) -> str:
    """Return `131 MB` or `1.20 GB`."""
    return f"{megabytes:.0f} MB" if megabytes < 999.5 else f"{megabytes / 1000:.2f} GB"


def number(value: float) -> str:
    """Return a figure with three digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1e-4 else f"{value:.1e}"


def times(ratio: float) -> str:
    """Return `1.8×` or `1,200×`."""
    if ratio < 9.95:
        return f"{ratio:.{1 if ratio >= 0.95 else 2}f}×"
    digits = 0 if ratio < 1000 else -(math.floor(math.log10(ratio)) - 1)
    return f"{round(ratio, digits):,.0f}×"


def percent(share: float) -> str:
    """Return `43%`."""
    return f"{share:.0%}"


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile; of one value, itself."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def spread(values: Sequence[float]) -> str:
    """Return half the distance of the quartiles relative to the median, `±3%`; empty of one."""
    if len(values) < 2:
        return ""
    first, third = quartiles(values)
    middle = statistics.median(values)
    return f"±{(third - first) / 2 / middle:.0%}" if middle else ""


def timed(values: Sequence[float]) -> Cell:
    """Return the median of times with its spread."""
    if not values:
        return UNKNOWN
    return Cell(duration(statistics.median(values)), spread(values))


def middle(values: Sequence[float], tone: Tone = "plain") -> Cell:
    """Return the median of figures with the quartiles."""
    if not values:
        return UNKNOWN
    first, third = quartiles(values)
    note = f"{number(first)} to {number(third)}" if len(values) > 2 else ""
    return Cell(number(statistics.median(values)), note, tone)


def memory(values: Sequence[float]) -> Cell:
    """Return the largest of peaks of memory."""
    return Cell(size(max(values))) if values else UNKNOWN


def joined(words: Sequence[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
