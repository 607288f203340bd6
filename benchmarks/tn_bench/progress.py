"""What a person sees while pictures are optimised: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tn_bench.gatys import Record
from tn_runtime.console import note

EVERY = 10.0
"""Seconds between plain lines."""


@contextmanager
def shown(steps: int) -> Iterator[Callable[[Record], None]]:
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

    def __call__(self, record: Record) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVERY
            note(f"evaluation {record.evaluations}  loss {record.loss:.4f}")
