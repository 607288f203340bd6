"""Processes that make numbered things ahead of the one that needs them.

They are spawned, not forked: a fork copies the locks of threads that it does not have. They talk
by pipes alone, so that neither shared memory nor semaphores are needed, and one that is killed is
noticed at once. torch's DataLoader waits for such a one until it is asked to end.
"""

import atexit
import contextlib
import itertools
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from tn_runtime.errors import WorkerError
from tn_train.interrupt import SIGNALS, Interrupted, pending

T = TypeVar("T")

AHEAD = 2
"""Numbers that each process is given before its answers are awaited."""
PATIENCE = 0.2
"""Seconds between two looks at signals that arrived while nothing comes."""

_running: set[multiprocessing.process.BaseProcess] = set()


@dataclass(frozen=True)
class Failed:
    """An answer with the reason of a failure."""

    reason: str


def made_ahead(
    make: Callable[[int], T], numbers: Iterable[int], workers: int
) -> Generator[T, None, None]:
    """Call `make` with each number; yield the results in order.

    Args:
        make: can be pickled; each process has a copy.
        numbers: need not end; a few more are taken than are made.
        workers: processes, at least 1. They end when the generator is closed, or gone.

    Raises:
        WorkerError: a process cannot start, was killed, or raised something.
        Interrupted: a signal to end arrived while nothing came.
    """
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(_started(make)) for _ in range(workers)]
        turns, rest = itertools.cycle(connections), iter(numbers)
        asked: deque[Connection] = deque()
        for connection, number in zip(turns, itertools.islice(rest, AHEAD * workers), strict=False):
            _ask(connection, number)
            asked.append(connection)
        while asked:
            connection = asked.popleft()
            answer = _answer(connection)
            for number in itertools.islice(rest, 1):
                _ask(connection, number)
                asked.append(connection)
            yield answer


@contextmanager
def _started(make: Callable[[int], Any]) -> Iterator[Connection]:
    """Run a process; yield the end of its pipe."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(theirs, make), daemon=True)
    try:
        with _signals_held_back():
            process.start()
    except OSError as error:
        raise WorkerError(f"no process can be started: {error.strerror or error}") from error
    _running.add(process)
    theirs.close()
    try:
        yield ours
    finally:
        _running.discard(process)
        process.kill()
        process.join()
        ours.close()


def _ask(connection: Connection, number: int) -> None:
    with contextlib.suppress(OSError):  # the process is gone; `_answer` says so
        connection.send(number)


def _answer(connection: Connection) -> Any:  # noqa: ANN401 - what `make` returns
    try:
        while not connection.poll(PATIENCE):
            if pending():
                raise Interrupted
        answer = connection.recv()
    except (EOFError, OSError) as error:
        raise WorkerError("a process that prepares photos was killed; is memory short?") from error
    if isinstance(answer, Failed):
        raise WorkerError(f"a process that prepares photos failed: {answer.reason}")
    return answer


def _serve(connection: Connection, make: Callable[[int], Any]) -> None:
    """Answer numbers until the other end is closed.

    When to end is left to the main process: terminals and `timeout` send signals to all, and a
    worker that died would break off the step that the main process wants to finish.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        while True:
            number = connection.recv()
            try:
                answer = make(number)
            except Exception as error:  # the main process reports it
                answer = Failed(f"{type(error).__name__}: {error}")
            connection.send(answer)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold back signals, also for the processes that start, until these ignore them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it lets signals through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@atexit.register
def _end() -> None:
    """End all workers before multiprocessing asks them to, which they ignore, and waits."""
    for process in list(_running):
        process.kill()
