"""The section on latency and memory."""

import statistics
from collections.abc import Iterator, Sequence

from tn_bench.report import words
from tn_bench.report.plots import Chart, Line, plot
from tn_bench.report.view import Cell, Plot, Table
from tn_bench.results import Results
from tn_bench.suites.latency import VARIANTS

SHORT = {
    "program": "program",
    "plain": "plain ONNX",
    "eager": "PyTorch eager",
    "channels_last": "channels_last",
    "compile": "torch.compile",
}
Key = tuple[int, int, int]
"""(size, batch, threads)."""


def models(results: Results) -> list[str]:
    """Return the names of the models that were timed."""
    found = results.find("latency", variant="program")
    return list(dict.fromkeys(str(each.facts["model"]) for each in found))


def keys(results: Results, model: str) -> list[Key]:
    """Return what was timed of a model."""
    found = results.find("latency", variant="program", model=model)
    return sorted(
        {(int(f["size"]), int(f["batch"]), int(f["threads"])) for f in (m.facts for m in found)}
    )


def seconds(results: Results, model: str, key: Key, variant: str) -> list[float]:
    """Return all timed runs."""
    return results.values("latency", **_facts(model, key), variant=variant)


def memory(results: Results, model: str, key: Key, variant: str) -> list[float]:
    """Return the peaks of memory of all processes, MB."""
    return results.values("memory", **_facts(model, key), variant=variant)


def ratio(results: Results, model: str, key: Key, variant: str) -> float | None:
    """Return how many times as long as the program it takes: the median of ratios of a round."""
    ratios = []
    for each in results.find("latency", **_facts(model, key), variant=variant):
        facts = _facts(model, key)
        ours = results.values("latency", **facts, variant="program", round=each.facts["round"])
        if ours:
            ratios.append(statistics.median(each.values) / statistics.median(ours))
    return statistics.median(ratios) if ratios else None


def share(results: Results, model: str, key: Key) -> float | None:
    """Return the program's useful operations per second over the matrix product's."""
    size, batch, threads = key
    gemm = results.values("matrix product", threads=threads)
    multiplications = results.values("multiplications", model=model)
    ours = seconds(results, model, key, "program")
    if not (gemm and multiplications and ours):
        return None
    speed = 2 * multiplications[0] * size**2 * batch / statistics.median(ours)
    return speed / (max(gemm) * 1e9)


def _facts(model: str, key: Key) -> dict[str, str | int | float]:
    size, batch, threads = key
    return {"model": model, "size": size, "batch": batch, "threads": threads}


def findings(results: Results) -> Iterator[str]:
    """Yield what the figures say."""
    for model in models(results):
        chosen = usual(results, model)
        ratios = [ratio(results, model, key, "eager") for key in chosen]
        known = [each for each in ratios if each is not None]
        if known:
            low, high = words.times(min(known)), words.times(max(known))
            yield f"{model}: PyTorch eager takes {words.between(low, high)} the program's time."
        slower = [
            f"{SHORT[variant]} at {key[0]} px"
            for key in chosen
            for variant in VARIANTS
            if (each := ratio(results, model, key, variant)) is not None and each < 1
        ]
        if slower:
            yield f"{model}: the program is slower than {words.joined(slower)}."


def usual(results: Results, model: str) -> list[Key]:
    """Return the keys of one picture on all threads."""
    found = keys(results, model)
    most = max((threads for _, _, threads in found), default=0)
    return [key for key in found if key[1:] == (1, most)]


def tables(results: Results) -> Iterator[Table]:
    """Yield the tables."""
    for model in models(results):
        there = [
            variant
            for variant in VARIANTS
            if results.find("latency", model=model, variant=variant)
        ]  # fmt: skip
        names = [SHORT[variant] for variant in there]
        found = keys(results, model)
        yield Table(
            f"{model}: time of a picture, warm; below it, times the program's",
            ("", *names, "of the matrix product"),
            [
                (
                    Cell(_words(key)),
                    *(_time(results, model, key, variant) for variant in there),
                    share_cell(results, model, key),
                )
                for key in found
            ],
        )
        yield Table(
            f"{model}: peak memory of a process",
            ("", *names),
            [
                (
                    Cell(_words(key)),
                    *(words.memory(memory(results, model, key, variant)) for variant in there),
                )
                for key in found
                if key[2] == found[-1][2]
            ],
        )
    yield from _cold(results)


def _words(key: Key) -> str:
    size, batch, threads = key
    several = f", {batch} at once" if batch > 1 else ""
    return f"{size} px{several}, {words.counted(threads, 'thread')}"


def _time(results: Results, model: str, key: Key, variant: str) -> Cell:
    values = seconds(results, model, key, variant)
    if not values:
        return words.UNKNOWN
    if variant == "program":
        return words.timed(values)
    times = ratio(results, model, key, variant)
    assert times is not None
    note = f"{words.times(times)} {words.spread(values)}".strip()
    return Cell(words.duration(statistics.median(values)), note, "good" if times > 1 else "bad")


def share_cell(results: Results, model: str, key: Key) -> Cell:
    """Return the share as a cell."""
    found = share(results, model, key)
    return words.UNKNOWN if found is None else Cell(words.percent(found))


def _cold(results: Results) -> Iterator[Table]:
    found = results.find("cold")
    names = list(dict.fromkeys(str(each.facts["model"]) for each in found))
    if not names:
        return
    columns = ["program", "PyTorch eager", "measuring a large photo", "opening its session",
               "parameters", "file"]  # fmt: skip
    rows = []
    for name in names:
        [parameters] = results.values("parameters", model=name) or [0]
        [size] = results.values("file", model=name) or [0]
        rows.append(
            (
                Cell(name),
                *(
                    words.timed(results.values("cold", model=name, variant=variant))
                    for variant in ("program", "eager")
                ),
                *(
                    words.timed(values) if (values := results.values(figure, model=name))
                    else Cell("none", "a texture")
                    for figure in ("measuring", "opening")
                ),
                Cell(f"{parameters:,.0f}") if parameters else words.UNKNOWN,
                Cell(f"{size / 1000:,.0f} kB") if size else words.UNKNOWN,
            )
        )  # fmt: skip
    yield Table(
        "Cold: from the start of a process to its first picture of 512 px", ("", *columns), rows
    )


def plots(results: Results) -> Iterator[Plot]:
    """Yield time and memory against size."""
    for model in models(results):
        chosen = usual(results, model)
        if len(chosen) < 2:
            continue
        for figure, label, shown in (
            ("latency", "time", words.tick),
            ("memory", "peak memory", words.ticks_size),
        ):
            yield plot(
                Chart(
                    name=f"latency-{model}-{figure}",
                    title=f"{model}: {label} against size",
                    alternative=f"{label} of a picture of {model} against its size, by variant",
                    x="side of the picture, pixels",
                    y=label,
                    lines=list(_lines(results, model, chosen, figure)),
                    ticks=[key[0] for key in chosen],
                    format_x=lambda value: f"{value:.0f}",
                    format_y=shown,
                )
            )


def _lines(results: Results, model: str, chosen: Sequence[Key], figure: str) -> Iterator[Line]:
    for variant in VARIANTS:
        points = []
        for key in chosen:
            values = results.values(figure, **_facts(model, key), variant=variant)
            if values:
                middle = statistics.median(values) if figure == "latency" else max(values)
                points.append((key[0], middle))
        if points:
            yield Line(SHORT[variant], [x for x, _ in points], [y for _, y in points])
