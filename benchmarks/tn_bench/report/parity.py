"""The section on parity."""

from collections.abc import Iterator

from tn_bench.report import words
from tn_bench.report.view import Cell, Plot, Table
from tn_bench.results import Results


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    pixels = results.values("largest difference", against="PyTorch")[1::2]
    if pixels:
        yield (
            f"ONNX Runtime's pixels and PyTorch's differ by {max(pixels):.0f} level of 255 at most."
        )
    if samples := results.values("differing samples"):
        yield (
            "Threads and tiles change no byte."
            if not any(samples)
            else f"Threads or tiles change up to {max(samples):.0f} samples of a picture."
        )


def tables(results: Results) -> Iterator[Table]:
    """Yield the table."""
    rows = []
    for outcome in results.of("parity"):
        for each in outcome.measurements:
            if each.figure == "windows":
                continue
            value = each.values[0]
            shown = f"{value:.0f}" if each.unit == "levels" or value == 0 else words.number(value)
            windows = [m.values[0] for m in outcome.measurements if m.figure == "windows"]
            rows.append(
                (
                    Cell(str(each.facts["model"])),
                    Cell(
                        str(each.facts["against"]), f"{windows[0]:.0f} windows" if windows else ""
                    ),
                    Cell(f"{each.figure}{', ' if each.unit else ''}{each.unit}"),
                    Cell(shown),
                )
            )
    if rows:
        yield Table("Differences", ("", "against", "figure", "value"), rows)


def plots(_results: Results) -> Iterator[Plot]:
    """Yield none."""
    yield from ()
