"""Progress of a run: a bar on a terminal, plain lines elsewhere; all on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tn_bench.report.words import duration
from tn_runtime.console import note

if TYPE_CHECKING:  # torch takes seconds to import
    from tn_bench.gatys import Record
    from tn_bench.running import Progress as Step

EVERY = 10.0
"""Seconds between plain lines."""


@contextmanager
def shown(steps: int) -> Iterator[Callable[["Record"], None]]:
    """Yield what shows each record of so many, the way that suits stderr."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=steps)
        yield lambda record: progress.update(
            task, completed=record.evaluations, description=f"loss {record.loss:.4f}"
        )


class _Lines:
    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self, record: "Record") -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVERY
            note(f"evaluation {record.evaluations}  loss {record.loss:.4f}")


@contextmanager
def steps() -> Iterator[Callable[["Step"], None]]:
    """Yield what shows each step of a run of the suites."""
    if not sys.stderr.isatty():
        yield lambda step: note(f"{step.done + 1} of {step.total}  {_described(step)}")
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")
        yield lambda step: progress.update(
            task, completed=step.done, total=step.total, description=_described(step)
        )


def _described(step: "Step") -> str:
    return f"{step.step.suite}: {step.step.case.name}, about {duration(step.left)} left"
