"""The section on Gatys' optimisation."""

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from tn_bench.report import words
from tn_bench.report.plots import Band, Chart, Line, Mark, plot
from tn_bench.report.view import Cell, Plot, Table, Tone
from tn_bench.results import Outcome, Results

OWN, ALL = "loss", "loss of all octaves"
SIDES = ("generator", "gatys")
KNOWN = frozenset({OWN, ALL, "latency", "memory", "GPU memory"})
LARGER_IS_BETTER = ("score", "hand", "tones", "contrast")


@dataclass(frozen=True)
class Crossing:
    """When Gatys' loss is as low as the generator's."""

    seconds: float
    """Until then; where it never is, until the end."""
    reached: bool
    ratio: float
    """Times one sample's latency; a lower bound where it is never reached."""

    @property
    def cell(self) -> Cell:
        """The time."""
        if self.reached:
            return Cell(words.duration(self.seconds))
        return Cell(f"> {words.duration(self.seconds)}", "not reached")

    @property
    def times(self) -> str:
        """The ratio."""
        return f"{'' if self.reached else '> '}{words.times(self.ratio)}"


@dataclass(frozen=True)
class Comparison:
    """A model at one size, both sides."""

    outcome: Outcome
    facts: dict[str, str | int | float]

    def values(self, figure: str, **facts: str) -> list[float]:
        """Return the values of a figure."""
        chosen = (each for each in self.outcome.measurements if each.has(figure, dict(facts)))
        return [value for each in chosen for value in each.values]

    @property
    def name(self) -> str:
        """Model and size."""
        return f"{self.facts['model']}, {self.facts['size']} px"

    @property
    def latency(self) -> float:
        """Seconds of one sample."""
        return statistics.median(self.values("latency"))

    @property
    def best(self) -> float:
        """Gatys' lowest loss."""
        return min(self.values("gatys loss"))

    def way(self, figure: str) -> tuple[list[float], list[float]]:
        """Return seconds, and Gatys' lowest loss until then."""
        if figure == OWN:
            seconds, losses = self.values("gatys seconds"), self.values("gatys loss")
        else:
            seconds, losses = self.values("gatys snapshot seconds"), self.values(ALL, side="gatys")
        return seconds, list(itertools.accumulate(losses, min))

    def crossing(self, figure: str) -> Crossing:
        """Return when Gatys reaches the generator's median loss."""
        wanted = statistics.median(self.values(figure, side="generator"))
        seconds, losses = self.way(figure)
        pairs = zip(seconds, losses, strict=True)
        at = next((second for second, loss in pairs if loss <= wanted), None)
        until = seconds[-1] if at is None else at
        return Crossing(until, at is not None, until / self.latency)

    def paid_for(self, crossing: Crossing) -> Cell:
        """Return after how many samples training has paid for itself."""
        saved = crossing.seconds - self.latency
        if saved <= 0:
            return Cell("never", "Gatys is as fast", "bad")
        samples = self.values("training")[0] / saved
        return Cell(f"{'' if crossing.reached else '< '}{max(1, samples):,.0f} samples")


def comparisons(results: Results) -> list[Comparison]:
    """Return what the suite has measured."""
    done = [each for each in results.of("gatys") if each.done]
    return [Comparison(each, dict(each.measurements[0].facts)) for each in done]


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    found = comparisons(results)
    for figure, under in ((OWN, "their own loss"), (ALL, "the loss of all octaves")):
        ahead = [each for each in found if _tone(each, figure) == "good"]
        behind = [each for each in found if _tone(each, figure) == "bad"]
        if behind:
            where = _where(behind, found)
            yield f"Under {under}, Gatys' pictures end nearer than the generator's: {where}."
        if ahead:
            yield f"Under {under}, the generator's pictures are nearer: {_where(ahead, found)}."
    if late := [each for each in found if not each.crossing(OWN).reached]:
        where = _where(late, found)
        yield f"Gatys has not come to the generator's loss in the time measured: {where}."


def _where(some: list[Comparison], found: list[Comparison]) -> str:
    if len(some) == len(found) > 1:
        return f"all {len(found)} comparisons"
    return words.joined([each.name for each in some]).replace(" px and", " px, and")


def tables(results: Results) -> Iterator[Table]:
    """Yield the tables."""
    found = comparisons(results)
    if not found:
        return
    for figure, caption in (
        (OWN, "Under the loss that Gatys minimises"),
        (ALL, "Under the loss of all octaves, on which the generators were trained"),
    ):
        yield Table(
            caption,
            ("", "generator's loss", "Gatys' last", "Gatys as low after", "samples meanwhile",
             "training paid for after"),
            [
                (
                    Cell(each.name),
                    words.middle(each.values(figure, side="generator"), _tone(each, figure)),
                    words.middle(each.values(figure, side="gatys")[-1:]),
                    each.crossing(figure).cell,
                    Cell(each.crossing(figure).times.removesuffix("×")),
                    each.paid_for(each.crossing(figure)),
                )
                for each in found
            ],
        )  # fmt: skip
    yield Table(
        "What it takes",
        ("", "one sample", "Gatys, all evaluations", "training",
         "peak memory, generator", "peak memory, Gatys"),
        [
            (
                Cell(each.name),
                words.timed(each.values("latency")),
                Cell(
                    words.duration(each.values("gatys seconds")[-1]),
                    f"{len(each.values('gatys seconds'))} evaluations",
                ),
                Cell(words.duration(each.values("training")[0]), "says the model file"),
                *(words.memory(each.values("memory", side=side)) for side in SIDES),
            )
            for each in found
        ],
    )  # fmt: skip
    yield from _measures(found)


def _measures(found: list[Comparison]) -> Iterator[Table]:
    """Yield what neither side minimises, a table for each model."""
    for model in dict.fromkeys(each.facts["model"] for each in found):
        own = [each for each in found if each.facts["model"] == model]
        is_texture = own[0].facts["kind"] == "texture"
        names = dict.fromkeys(
            m.figure
            for m in own[0].outcome.measurements
            if m.facts.get("side") == "gatys" and m.figure not in KNOWN
        )
        columns = [
            f"{side}, {each.facts['size']} px" for each in own for side in ("Gatys", "generator")
        ]
        rows = []
        for name in names:
            limit = [words.middle(own[0].values(name, side="floor"))] if is_texture else []
            cells = [
                cell
                for each in own
                for cell in (
                    words.middle(each.values(name, side="gatys")),
                    words.middle(each.values(name, side="generator"), _tone(each, name)),
                )
            ]
            rows.append((Cell(name), *limit, *cells))
        if is_texture:
            caption = f"{model}: measures that neither side minimises, smaller is nearer"
            yield Table(caption, ("", "floor", *columns), rows)
        else:
            caption = f"{model}: score of the painted photo and its parts, 0 to 1, larger is better"
            yield Table(caption, ("", *columns), rows)


def _tone(each: Comparison, figure: str) -> Tone:
    """Tell whether the generator wins or loses."""
    ours = statistics.median(each.values(figure, side="generator"))
    theirs = each.values(figure, side="gatys")[-1]
    better = ours > theirs if figure in LARGER_IS_BETTER else ours < theirs
    return "good" if better else "bad"


def plots(results: Results) -> Iterator[Plot]:
    """Yield loss against time, under both losses."""
    for each in comparisons(results):
        for figure, words_ in ((OWN, "the loss that Gatys minimises"), (ALL, "all octaves")):
            yield _plot(each, figure, words_)


def _plot(each: Comparison, figure: str, under: str) -> Plot:
    generator = each.values(figure, side="generator")
    seconds, losses = each.way(figure)
    low, high = min(generator), max(generator)
    crossing = each.crossing(figure)
    marks = [Mark(each.latency, statistics.median(generator), "one sample")]
    if crossing.reached:
        marks.append(
            Mark(crossing.seconds, statistics.median(generator), words.duration(crossing.seconds))
        )
    name = f"gatys {each.name} {'own' if figure == OWN else 'octaves'}"
    chart = Chart(
        name=name.replace(", ", " ").replace(" ", "-"),
        title=f"{each.name}: {under}",
        alternative=(
            f"Loss against time. Gatys' optimisation falls from {words.number(losses[0])} to "
            f"{words.number(losses[-1])} in {words.duration(seconds[-1])}; the generator's samples "
            f"have {words.number(statistics.median(generator))} after "
            f"{words.duration(each.latency)}."
        ),
        x="time",
        y="loss",
        lines=[Line("Gatys' optimisation", seconds, losses, points=figure == ALL)],
        bands=[
            Band("generator, fresh seeds", low, statistics.median(generator), high)
        ],
        marks=marks,
        format_x=words.tick,
        format_y="{:g}".format,
    )  # fmt: skip
    return plot(chart)
