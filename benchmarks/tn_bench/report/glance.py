"""The few figures that most people want: one table, also for the README."""

from collections.abc import Sequence

from tn_bench.report import gatys, latency, words
from tn_bench.report.latency import Key
from tn_bench.report.view import Cell, Section, Table
from tn_bench.results import Results

VARIANTS = ("program", "plain", "eager")
TITLE = "At a glance"
HOW = (
    "Median time of a warm picture, on all threads, and peak memory of the process, from the "
    "suites latency and gatys. The last column is the time after which Gatys' optimisation is as "
    "low in its own loss as the generator's sample. A dash stands for what was not measured."
)


def section(results: Results) -> Section:
    """Return the section."""
    return Section("glance", TITLE, tables=[table(results)], how=HOW, command=results.command)


def table(results: Results) -> Table:
    """Return the table."""
    return Table(
        "Time and peak memory of one picture",
        ("", "tn-run", "plain ONNX export", "PyTorch eager", "of the matrix product",
         "Gatys as good after"),
        _rows(results),
    )  # fmt: skip


def _rows(results: Results) -> list[Sequence[Cell]]:
    crossings = {
        (str(each.facts["model"]), int(each.facts["size"])): each.crossing(gatys.OWN).cell
        for each in gatys.comparisons(results)
    }
    keys = [
        (model, key)
        for model in latency.models(results)
        for key in latency.usual(results, model)
    ]  # fmt: skip
    timed: list[Sequence[Cell]] = [
        (
            Cell(f"{model}, {key[0]} px"),
            *(_cell(results, model, key, variant) for variant in VARIANTS),
            latency.share_cell(results, model, key),
            crossings.get((model, key[0]), words.UNKNOWN),
        )
        for model, key in keys
    ]
    return timed


def _cell(results: Results, model: str, key: Key, variant: str) -> Cell:
    time = words.timed(latency.seconds(results, model, key, variant))
    peak = words.memory(latency.memory(results, model, key, variant))
    return time if time == words.UNKNOWN else Cell(time.text, peak.text)
