"""Two or more runs side by side: ratios, and what is within noise."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tn_bench.machine import describe
from tn_bench.report import words
from tn_bench.report.view import Cell, Section, Table, Tone
from tn_bench.results import Fact, Results

CURVES = frozenset(
    {"gatys seconds", "gatys loss", "gatys snapshot seconds", "evaluation", "measured"}
)
"""Points of curves, no figures that are compared."""
FIXED = frozenset({"parameters", "file", "multiplications", "windows", "steps"})
LARGER_IS_BETTER = frozenset(
    {"matrix product", "score", "hand", "tones", "contrast", "diversity in pixels",
     "diversity in features"}
)  # fmt: skip
NOISE = 0.02
"""Less of a difference counts as noise, however steady the runs: another process may differ."""
ALONE = 0.05
"""Where there is one run on a side, so much of a difference counts as noise."""
HOW = (
    "Each figure is the median of all single runs of a folder; the ratio is that of a later "
    "folder's median to the first's. Within noise: the middle halves of the runs overlap, or the "
    f"medians differ by at most {NOISE:.0%} ({ALONE:.0%} where a side has a single run)."
)

Key = tuple[str, str, tuple[tuple[str, Fact], ...]]
"""(suite, figure, facts)."""


@dataclass(frozen=True)
class Pair:
    """A figure in two runs."""

    key: Key
    unit: str
    first: Sequence[float]
    second: Sequence[float]

    @property
    def ratio(self) -> float | None:
        """Second to first; None where that has no meaning."""
        first, second = statistics.median(self.first), statistics.median(self.second)
        return second / first if first > 0 and second > 0 else None

    @property
    def within_noise(self) -> bool:
        """Whether the difference says nothing."""
        alone = min(len(self.first), len(self.second)) < 2
        if self.ratio is None or abs(self.ratio - 1) <= (ALONE if alone else NOISE):
            return True
        if alone:
            return False
        (low, high), (other_low, other_high) = map(words.quartiles, (self.first, self.second))
        return low <= other_high and other_low <= high

    @property
    def verdict(self) -> tuple[str, Tone]:
        """`within noise`, `better` or `worse`."""
        if self.within_noise:
            return "within noise", "plain"
        assert self.ratio is not None
        larger = self.key[1] in LARGER_IS_BETTER
        return ("better", "good") if (self.ratio > 1) == larger else ("worse", "bad")


def pairs(first: Results, second: Results) -> list[Pair]:
    """Return all figures that both runs have."""
    one, other = _figures(first), _figures(second)
    return [
        Pair(key, unit, values, other[key][1])
        for key, (unit, values) in one.items()
        if key in other
    ]  # fmt: skip


def _figures(results: Results) -> dict[Key, tuple[str, list[float]]]:
    figures: dict[Key, tuple[str, list[float]]] = {}
    for outcome in results.outcomes:
        for each in outcome.measurements:
            if each.figure in CURVES | FIXED:
                continue
            values = each.values
            if outcome.suite == "training" and len(values) > 1:  # a curve: its end counts
                values = values[-1:]
            facts = tuple(item for item in each.facts.items() if item[0] not in {"round", "kind"})
            kept = figures.setdefault((outcome.suite, each.figure, facts), (each.unit, []))
            kept[1].extend(values)
    return figures


def section(runs: Sequence[Results], names: Sequence[str]) -> Section:
    """Return what a report says about several runs."""
    tables, findings = [], []
    for results, name in zip(runs[1:], names[1:], strict=True):
        found = pairs(runs[0], results)
        verdicts = [pair.verdict[0] for pair in found]
        counts = ", ".join(
            f"{verdicts.count(word)} {word}" for word in ("better", "worse", "within noise")
        )
        findings.append(f"{name} against {names[0]}: of {len(found)} figures {counts}.")
        rows = list(_rows(found))
        if rows:
            caption = f"{name} against {names[0]}: what differs by more than noise"
            tables.append(Table(caption, ("", names[0], name, "ratio", "verdict"), rows))
    different = {describe(each.machine) for each in runs}
    notices = [] if len(different) == 1 else [
        "The machines differ: ratios compare machines as well as versions. "
        + "; ".join(f"{name}: {describe(each.machine)}"
                    for name, each in zip(names, runs, strict=True))
    ]  # fmt: skip
    return Section(
        name="comparison",
        title="Comparison",
        findings=findings,
        notices=notices,
        tables=tables,
        how=HOW,
        command="tn-bench report DIR DIR -o report.html",
    )


def _rows(found: Sequence[Pair]) -> Iterator[tuple[Cell, ...]]:
    for pair in found:
        verdict, tone = pair.verdict
        if verdict == "within noise":
            continue
        suite, figure, facts = pair.key
        shown = words.duration if pair.unit == "s" else words.number
        assert pair.ratio is not None
        yield (
            Cell(f"{suite}: {figure}", ", ".join(_words(name, value) for name, value in facts)),
            *(
                Cell(shown(statistics.median(each)), words.spread(each))
                for each in (pair.first, pair.second)
            ),
            Cell(f"{pair.ratio:.2f}×"),
            Cell(verdict, "", tone),
        )


def _words(name: str, value: Fact) -> str:
    units = {"size": "px", "photos": "photos", "minutes": "minutes"}
    if isinstance(value, str):
        return value
    return f"{value} {units[name]}" if name in units else f"{name} {value}"
