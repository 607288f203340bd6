"""The verdict: speed, quality and memory in a line, from the comparisons with Gatys and PyTorch."""

import statistics
from collections.abc import Iterator

from tn_bench.report import gatys, latency, words
from tn_bench.report.view import Claim
from tn_bench.results import Results

NOTHING = Claim("Verdict", "–", "Neither the suite gatys nor latency has figures yet.")


def claims(results: Results) -> list[Claim]:
    """Return the claims, those whose figures are there."""
    found = gatys.comparisons(results)
    return [*_speed(found, results), *_quality(found), *_memory(found, results)] or [NOTHING]


def _speed(found: list[gatys.Comparison], results: Results) -> Iterator[Claim]:
    if found:
        crossings = [each.crossing(gatys.OWN) for each in found]
        lowest = min(crossings, key=lambda each: each.ratio)
        highest = max(crossings, key=lambda each: each.ratio)
        all_reached = all(each.reached for each in crossings)
        figure = (
            words.between(lowest.times, highest.times)
            if all_reached
            else f"> {words.times(lowest.ratio)}"
        )
        yield Claim(
            "Speed",
            figure,
            f"to come to the generator's loss, Gatys' optimisation takes {figure} the time of one "
            f"sample{_eager(results)}.",
            "good" if lowest.ratio > 1 else "bad",
        )
    elif eager := _eager(results):
        yield Claim("Speed", eager.split()[-1], f"against PyTorch{eager}.")


def _eager(results: Results) -> str:
    """Return a clause on PyTorch: the median of all its ratios."""
    ratios = [
        ratio
        for model in latency.models(results)
        for key in latency.keys(results, model)
        if (ratio := latency.ratio(results, model, key, "eager")) is not None
    ]
    if not ratios:
        return ""
    return f"; PyTorch eager takes {words.times(statistics.median(ratios))} as long"


def _quality(found: list[gatys.Comparison]) -> Iterator[Claim]:
    if not found:
        return
    ratios = []
    for each in found:
        ours = statistics.median(each.values(gatys.OWN, side="generator"))
        ratios.append(ours / each.best)
    wins = sum(ratio < 1 for ratio in ratios)
    figure = words.between(words.times(min(ratios)), words.times(max(ratios)))
    times = len(found[0].values("gatys seconds"))
    outcome = {
        0: "Gatys' pictures are nearer",
        len(found): "the generator's pictures are nearer",
    }.get(wins, f"the generator's pictures are nearer in {wins} of {len(found)} comparisons")
    yield Claim(
        "Quality",
        figure,
        f"after {times} evaluations {outcome} to the exemplar under Gatys' own loss: the "
        f"generator's loss is {figure} that of Gatys.",
        "good" if wins == len(found) else "bad",
    )


def _memory(found: list[gatys.Comparison], results: Results) -> Iterator[Claim]:
    pairs = []
    for each in found:
        ours, theirs = (each.values("memory", side=side) for side in gatys.SIDES)
        pairs.append((max(ours), max(theirs)))
    if pairs:
        ours_, theirs_ = max(pairs)
        yield Claim(
            "Memory",
            words.size(ours_),
            f"in these comparisons the generator's process takes {words.size(ours_)} at most, "
            f"that of Gatys' optimisation {words.size(theirs_)}.",
            "good" if ours_ < theirs_ else "bad",
        )
    else:
        peaks = results.values("memory", variant="program")
        if peaks:
            yield Claim(
                "Memory", words.size(max(peaks)), "is the most that a process of tn-run takes."
            )
