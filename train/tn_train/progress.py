"""The display of a run: a bar on a terminal, plain lines elsewhere, all on stderr."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tn_runtime.console import note
from tn_train.loop import Event

EVERY = 10.0
"""Seconds between plain lines."""


@contextmanager
def shown() -> Iterator[Callable[[Event], None]]:
    """Yield a function that shows a step: as a bar on a terminal, as a line elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("first step", total=1.0)
        yield lambda event: progress.update(
            task, completed=event.progress, description=describe(event)
        )


class _Lines:
    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self, event: Event) -> None:
        if time.monotonic() >= self.next or event.progress >= 1:
            self.next = time.monotonic() + EVERY
            note(describe(event))


def describe(event: Event) -> str:
    """Return one line about a step: the loss of its batch, and that of the last evaluation."""
    parts = [f"step {event.step}", f"loss {event.loss:.3f}"]
    if math.isfinite(event.kept):
        parts.append(f"evaluated {event.kept:.4f}")
    parts.append(f"{duration(event.left)} left")
    if event.divergences:
        parts.append(f"went back {event.divergences} times")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return `1:23:45` or `12:34`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
