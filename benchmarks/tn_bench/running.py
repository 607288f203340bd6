"""A run of the suites, case by case; what is measured is kept after each."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tn_bench.machine import Watch, commit, fingerprint
from tn_bench.results import NAME, SCHEMA, Outcome, Results, load, save
from tn_bench.suites import suite
from tn_bench.suites.case import Bench, Case, NotHere
from tn_runtime.errors import RequestError
from tn_runtime.version import __version__


@dataclass(frozen=True)
class Step:
    """A case on its way."""

    suite: str
    case: Case


@dataclass(frozen=True)
class Progress:
    """How far a run is, before a step."""

    done: int
    total: int
    step: Step
    left: float
    """Seconds, an estimate."""


def plan(bench: Bench, suites: Sequence[str]) -> list[Step]:
    """Return all cases of the suites, in order."""
    return [Step(name, case) for name in suites for case in suite(name).cases(bench)]


def begin(
    bench: Bench, suites: Sequence[str], steps: Sequence[Step], *, quick: bool, command: str
) -> Results:
    """Return the results to go on from: those in the folder, or new ones.

    Raises:
        RequestError: the folder holds a run of another machine, version or extent.
    """
    planned = {name: sum(step.suite == name for step in steps) for name in suites}
    new = Results(
        schema=SCHEMA,
        version=__version__,
        commit=commit(),
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command,
        quick=quick,
        device=bench.device,
        subjects=tuple(subject.digest for subject in bench.subjects),
        planned=planned,
        machine=fingerprint(),
    )
    if not (bench.folder / NAME).exists():
        return new
    kept = load(bench.folder)
    for name in ("subjects", "quick", "device", "version", "commit", "machine"):
        if getattr(kept, name) != getattr(new, name):
            raise RequestError(
                f"{bench.folder} holds a run with another {_words(name, kept, new)}: "
                "name another folder, or delete it"
            )
    return dataclasses.replace(kept, planned=kept.planned | planned)


def _words(name: str, kept: Results, new: Results) -> str:
    return {
        "quick": "extent (--quick)",
        "device": f"device ({kept.device}, now {new.device})",
        "commit": f"commit ({kept.commit or 'none'}, now {new.commit or 'none'})",
        "subjects": "choice of models or exemplars (--subject)",
    }.get(name, name)


def measure(
    results: Results, steps: Sequence[Step], folder: Path, report: Callable[[Progress], None]
) -> Results:
    """Run what is not done yet; write the results after each case.

    Args:
        results: what is done already.
        steps: all cases.
        folder: where the results are.
        report: called before each case; KeyboardInterrupt ends the run, and loses one case.
    """
    done = {(each.suite, each.case) for each in results.outcomes if each.done}
    open_ = [step for step in steps if (step.suite, step.case.name) not in done]
    watch, spent = Watch(), 0.0
    for number, step in enumerate(open_):
        pace = watch.seconds / spent if spent else 1.0
        left = pace * sum(each.case.cost for each in open_[number:])
        report(Progress(len(steps) - len(open_) + number, len(steps), step, left))
        results = results.with_outcome(_outcome(step))
        save(results, folder)
        spent += step.case.cost
    return results


def _outcome(step: Step) -> Outcome:
    watch = Watch()
    failure = skipped = ""
    try:
        found = step.case.measure()
    except NotHere as reason:
        skipped, found = str(reason), None
    except Exception as error:  # one figure that fails does not stop the others
        failure, found = " ".join(f"{type(error).__name__}: {error}".split())[:500], None
    return Outcome(
        suite=step.suite,
        case=step.case.name,
        seconds=round(watch.seconds, 3),
        others=watch.others,
        measurements=tuple(found.measurements) if found else (),
        pictures=dict(found.pictures) if found else {},
        failure=failure,
        skipped=skipped,
    )
