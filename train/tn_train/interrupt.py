"""Ctrl-C that waits for the end of a step, so that what is saved is whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, and the step that it fell into is done."""


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back; yield a function that tells whether it was pressed.

    A second press is not held back: whoever presses twice means now. Outside of the main thread,
    which alone receives signals, nothing changes.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    previous = signal.getsignal(signal.SIGINT)

    def press(_signal: int, _frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
