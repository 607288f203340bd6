"""The section on training."""

from collections.abc import Iterator

from tn_bench.report import words
from tn_bench.report.plots import Chart, Line, plot
from tn_bench.report.view import Cell, Plot, Table
from tn_bench.results import Measurement, Outcome, Results

MEASURES = ("marginals relu4_3", "score")


def _figure(outcome: Outcome, *names: str) -> Measurement | None:
    return next((each for each in outcome.measurements if each.figure in names), None)


def _done(results: Results) -> list[Outcome]:
    return [each for each in results.of("training") if each.done and _figure(each, "loss")]


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    for outcome in _done(results):
        loss, seconds = _figure(outcome, "loss"), _figure(outcome, "training")
        if loss and seconds:
            yield (
                f"{outcome.case}: the loss is {words.number(loss.values[-1])} after "
                f"{words.duration(seconds.values[0])} of training."
            )


def tables(results: Results) -> Iterator[Table]:
    """Yield the table."""
    rows = []
    for outcome in _done(results):
        steps, seconds = _figure(outcome, "steps"), _figure(outcome, "training")
        loss, measure = _figure(outcome, "loss"), _figure(outcome, *MEASURES)
        if steps and seconds and loss:
            rows.append(
                (
                    Cell(outcome.case, str(steps.facts["kind"])),
                    Cell(words.duration(seconds.values[0])),
                    Cell(words.number(steps.values[0] / seconds.values[0] * 60)),
                    words.middle(loss.values[-1:]),
                    Cell(words.number(measure.values[-1]), measure.figure)
                    if measure
                    else words.UNKNOWN,
                )
            )
    if rows:
        yield Table("Runs", ("", "time", "steps per minute", "last loss", "last measure"), rows)


def plots(results: Results) -> Iterator[Plot]:
    """Yield the loss and a measure against time."""
    for outcome in _done(results):
        for figure, times in (("loss", "evaluation"), (None, "measured")):
            values = _figure(outcome, figure) if figure else _figure(outcome, *MEASURES)
            seconds = _figure(outcome, times)
            if values is None or seconds is None or len(values.values) < 2:
                continue
            yield plot(
                Chart(
                    name=f"training-{outcome.case}-{values.figure}".replace(" ", "-"),
                    title=f"{outcome.case}: {values.figure}",
                    alternative=(
                        f"{values.figure} against time, from {words.number(values.values[0])} to "
                        f"{words.number(values.values[-1])}"
                    ),
                    x="minutes of training",
                    y=values.figure,
                    lines=[
                        Line(values.figure, [each / 60 for each in seconds.values], values.values)
                    ],
                    log=(False, figure is not None),
                    format_y="{:g}".format,
                )
            )
