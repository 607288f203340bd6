"""The section on quality."""

import statistics
from collections.abc import Iterator

from tn_bench.report import words
from tn_bench.report.view import Cell, Plot, Table, Tone
from tn_bench.results import Measurement, Results

SIDES = ("floor", "gatys", "generator")
PARTS = ("score", "hand", "tones", "contrast")


def _found(results: Results, kind: str) -> dict[str, list[Measurement]]:
    """Return the measurements of each model.

    The seam is left out: the samples are windows, and none was asked to repeat.
    """
    models: dict[str, list[Measurement]] = {}
    for outcome in results.of("quality"):
        for each in outcome.measurements:
            if each.facts["kind"] == kind and each.figure != "seam":
                models.setdefault(str(each.facts["model"]), []).append(each)
    return models


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    for model, found in _found(results, "texture").items():
        below = above = 0
        for name in dict.fromkeys(each.figure for each in found):
            values = {side: _values(found, name, side) for side in SIDES}
            if values["generator"] and values["floor"]:
                nearer = statistics.median(values["generator"]) <= values["floor"][0]
                below, above = below + nearer, above + (not nearer)
        yield f"{model}: {below} of {below + above} measures are at or below their floor."


def tables(results: Results) -> Iterator[Table]:
    """Yield the tables."""
    for model, found in _found(results, "texture").items():
        names = dict.fromkeys(each.figure for each in found if "diversity" not in each.figure)
        rows = [
            (
                Cell(name),
                words.middle(_values(found, name, "floor")),
                words.middle(_values(found, name, "gatys")),
                words.middle(_values(found, name, "generator"), _tone(found, name)),
            )
            for name in names
        ]
        rows += [
            (
                Cell(name),
                Cell("1", "parts of the exemplar"),
                Cell("none", "one picture"),
                words.middle(_values(found, name, "generator")),
            )
            for name in dict.fromkeys(each.figure for each in found if "diversity" in each.figure)
        ]
        yield Table(f"{model}: smaller is nearer", ("", "floor", "Gatys", "generator"), rows)
    if styles := _found(results, "style"):
        yield Table(
            "Styles: the score and its parts, 0 to 1, larger is better",
            ("", *PARTS),
            [
                (Cell(f"{model}, {photo}"), *(_part(found, name, photo) for name in PARTS))
                for model, found in styles.items()
                for photo in dict.fromkeys(str(each.facts["photo"]) for each in found)
            ],
        )


def _part(found: list[Measurement], name: str, photo: str) -> Cell:
    return words.middle([v for m in found if m.has(name, {"photo": photo}) for v in m.values])


def _values(found: list[Measurement], name: str, side: str) -> list[float]:
    return [value for each in found if each.has(name, {"side": side}) for value in each.values]


def _tone(found: list[Measurement], name: str) -> Tone:
    gatys = _values(found, name, "gatys")
    ours = _values(found, name, "generator")
    if not gatys or not ours:
        return "plain"
    return "good" if statistics.median(ours) < gatys[0] else "bad"


def plots(_results: Results) -> Iterator[Plot]:
    """Yield none: the pictures themselves are shown."""
    yield from ()
