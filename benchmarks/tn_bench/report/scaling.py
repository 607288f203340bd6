"""The section on scaling."""

import statistics
from collections.abc import Iterator

from tn_bench.report import words
from tn_bench.report.plots import Chart, Line, plot
from tn_bench.report.view import Cell, Plot, Table
from tn_bench.results import Results


def streamed(results: Results) -> list[tuple[int, float, float]]:
    """Return (size, seconds, MB) of each streamed picture."""
    found = {}
    for each in results.find("streaming"):
        size = int(each.facts["size"])
        found[size] = (each.values[0], max(results.values("streaming memory", size=size)))
    return [(size, *found[size]) for size in sorted(found)]


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    found = streamed(results)
    if len(found) > 1:
        (small, _, least), (large, seconds, most) = found[0], found[-1]
        yield (
            f"A picture of {large} px takes {words.duration(seconds)} and {words.size(most)}: "
            f"{(large / small) ** 2:.0f} times the pixels of one of {small} px, "
            f"{words.times(most / least)} its memory."
        )
    for each in results.find("folder"):
        count = each.facts["photos"]
        rate = float(count) / each.values[0]
        yield f"A folder of {count} photos is painted at {words.number(rate)} photos per second."


def tables(results: Results) -> Iterator[Table]:
    """Yield the tables."""
    if found := streamed(results):
        yield Table(
            "Streamed to PNG",
            ("", "time", "megapixels per second", "peak memory"),
            [
                (
                    Cell(f"{size} px"),
                    Cell(words.duration(seconds)),
                    Cell(words.number(size**2 / 1e6 / seconds)),
                    Cell(words.size(megabytes)),
                )
                for size, seconds, megabytes in found
            ],
        )
    if folders := results.find("folder"):
        yield Table(
            "A folder of photos",
            ("", "time", "photos per second", "peak memory"),
            [
                (
                    Cell(f"{each.facts['photos']} photos, {each.facts['model']}"),
                    Cell(words.duration(each.values[0])),
                    Cell(words.number(float(each.facts["photos"]) / each.values[0])),
                    words.memory(results.values("folder memory")),
                )
                for each in folders
            ],
        )
    if threads := results.find("threads"):
        first = statistics.median(threads[0].values)
        yield Table(
            f"Threads, a texture of {threads[0].facts['size']} px",
            ("", "time", "times as fast as one"),
            [
                (
                    Cell(str(each.facts["threads"])),
                    words.timed(each.values),
                    Cell(words.times(first / statistics.median(each.values))),
                )
                for each in threads
            ],
        )


def plots(results: Results) -> Iterator[Plot]:
    """Yield speed and memory against size."""
    found = streamed(results)
    if len(found) < 2:
        return
    sizes = [size for size, _, _ in found]
    for name, y, values, shown in (
        ("speed", "megapixels per second", [s**2 / 1e6 / t for s, t, _ in found], "{:g}".format),
        ("memory", "peak memory", [mb for _, _, mb in found], words.ticks_size),
    ):
        yield plot(
            Chart(
                name=f"scaling-{name}",
                title=f"Streamed pictures: {y}",
                alternative=f"{y} against the side of a streamed picture",
                x="side of the picture, pixels",
                y=y,
                lines=[Line("tn-run texture", sizes, values)],
                ticks=sizes,
                format_x=lambda value: f"{value:.0f}",
                format_y=shown,
            )
        )
