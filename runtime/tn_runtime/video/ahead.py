"""Work that goes on while its results are used: decoding, painting and encoding overlap."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

DEPTH = 3
"""Results that wait to be used, at most; frames are large."""

_END = object()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def ahead(items: Iterable[T]) -> Generator[T]:
    """Yield the same items; a thread makes the next ones meanwhile.

    An error in it is raised here, at its place. Where this iterator is closed early, the thread
    ends after the item in work, and closes a generator.
    """
    made: queue.Queue[object] = queue.Queue(DEPTH)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    break
            else:
                put(_END)
            if isinstance(items, Generator):
                items.close()
        except BaseException as error:
            put(_Failure(error))

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]  # what `items` made
    finally:
        stop.set()
        thread.join()
