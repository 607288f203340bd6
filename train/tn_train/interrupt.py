"""Signals to end that wait for the end of a step, so that what is saved is whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
"""Ctrl-C, `kill`, a terminal that is closed, Ctrl-Break; which there are depends on the system."""


_held: list[list[int]] = []
"""Signals that arrived, of each `deferred` that is under way."""


def pending() -> bool:
    """Tell whether a signal to end arrived and waits for the end of a step.

    Whoever waits within a step, for something that may never come, looks here.
    """
    return any(_held)


class Interrupted(KeyboardInterrupt):
    """A signal to end arrived, and the step that it fell into is done."""

    signal: int = signal.SIGINT

    def pass_on(self) -> None:
        """Hand the signal to whom it was held back from, unless Ctrl-C, which this itself is."""
        if self.signal != signal.SIGINT:
            signal.raise_signal(self.signal)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Hold back the signals to end; yield a function that tells whether one arrived.

    A second Ctrl-C is not held back: whoever presses twice means now. Others are, since a closing
    terminal sends several. Signals that are ignored (as under nohup) stay ignored. Outside of the
    main thread, which alone receives signals, nothing changes.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    previous = {n: h for n, h in handlers.items() if h not in {None, signal.SIG_IGN}}

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if number == signal.SIGINT:
            signal.signal(number, previous[number])

    for number in previous:
        signal.signal(number, receive)
    _held.append(received)
    try:
        yield lambda: bool(received)
    except Interrupted as stop:
        if received:
            stop.signal = received[0]
        raise
    finally:
        _held.pop()
        for number, handler in previous.items():
            signal.signal(number, handler)
