"""The section on Gatys' optimisation."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from tn_bench.report import words
from tn_bench.report.plots import Band, Chart, Line, Mark, plot
from tn_bench.report.view import Cell, Plot, Table, Tone
from tn_bench.results import Outcome, Results

OWN, ALL = "loss", "loss of all octaves"
SIDES = ("generator", "gatys")
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

    def crossing(self, figure: str) -> Crossing:
        """Return when Gatys reaches the generator's median loss."""
        wanted = statistics.median(self.values(figure, side="generator"))
        if figure == OWN:
            seconds, losses = self.values("gatys seconds"), self.values("gatys loss")
        else:
            seconds, losses = self.values("gatys snapshot seconds"), self.values(ALL, side="gatys")
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
        return Cell(f"{'' if crossing.reached else '< '}{words.number(samples)}", "samples")


def comparisons(results: Results) -> list[Comparison]:
    """Return what the suite has measured."""
    done = [each for each in results.of("gatys") if each.done]
    return [Comparison(each, dict(each.measurements[0].facts)) for each in done]


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    for each in comparisons(results):
        own = each.crossing(OWN)
        reach = "reaches its loss" if own.reached else "has not reached its loss"
        last = each.values("gatys loss")[-1]
        generator = statistics.median(each.values(OWN, side="generator"))
        lower = "lower" if last < generator else "higher"
        yield (
            f"{each.name}: one sample takes {words.duration(each.latency)}. Gatys' optimisation "
            f"{reach} after {words.duration(own.seconds)}, {own.times} as long. It ends at "
            f"{words.number(last)} after {words.duration(each.values('gatys seconds')[-1])}, "
            f"{lower} than the generator's {words.number(generator)}."
        )


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
        ("", "one sample", "Gatys, all evaluations", "training (as the model file says)",
         "peak memory, generator", "peak memory, Gatys"),
        [
            (
                Cell(each.name),
                words.timed(each.values("latency")),
                Cell(
                    words.duration(each.values("gatys seconds")[-1]),
                    f"{len(each.values('gatys seconds'))} evaluations",
                ),
                Cell(words.duration(each.values("training")[0]), "on another machine, maybe"),
                *(words.memory(each.values("memory", side=side)) for side in SIDES),
            )
            for each in found
        ],
    )  # fmt: skip
    yield from _measures(found)


def _measures(found: list[Comparison]) -> Iterator[Table]:
    """Yield the measures that neither side minimises, a table for textures and one for styles."""
    for kind, caption in (
        ("texture", "Measures that neither side was trained on, textures: smaller is nearer"),
        ("style", "The score of stylised photos, from 0 to 1: larger is better"),
    ):
        rows = []
        for each in found:
            known = {OWN, ALL, "latency", "memory", "GPU memory"}
            names = dict.fromkeys(
                m.figure for m in each.outcome.measurements if m.facts.get("side") == "gatys"
            )
            if each.facts["kind"] != kind:
                continue
            for name in (name for name in names if name not in known):
                rows.append(
                    (
                        Cell(f"{each.name}: {name}"),
                        words.middle(each.values(name, side="floor"))
                        if kind == "texture"
                        else Cell("1", "the best there is"),
                        words.middle(each.values(name, side="gatys")),
                        words.middle(each.values(name, side="generator"), _tone(each, name)),
                    )
                )
        if rows:
            limit = "floor" if kind == "texture" else "limit"
            yield Table(caption, ("", limit, "Gatys", "generator"), rows)


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
    if figure == OWN:
        seconds, losses = each.values("gatys seconds"), each.values("gatys loss")
    else:
        seconds, losses = each.values("gatys snapshot seconds"), each.values(ALL, side="gatys")
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
        format_x=words.duration,
        format_y=words.number,
    )  # fmt: skip
    return plot(chart)
