"""Bounds for a server's work: so much at a time, so many waiting, so many bytes, so long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec, TypeVar

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool

P = ParamSpec("P")
T = TypeVar("T")

GONE = 499
"""Status for a client that has closed its connection, which nobody reads; nginx has it, too."""


class Gate:
    """Lets `at_once` requests work and `waiting` more wait, first come, first served."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._present = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is one's turn, which lasts as long as the body.

        Raises:
            HTTPException: too many wait already.
        """
        if self._present >= self._most:
            raise HTTPException(503, "the server is busy; try again", {"Retry-After": "1"})
        self._present += 1
        try:
            async with self._turn:
                yield
        finally:
            self._present -= 1

    async def run(
        self, request: Request, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do the work in a thread when it is its turn, unless the client is gone by then.

        Raises:
            HTTPException: too many wait already, or the client is gone.
        """
        async with self.turn():
            if await request.is_disconnected():  # as after panning on in a hurry
                raise HTTPException(GONE)
            return await run_in_threadpool(work, *args, **kwargs)


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """Return the body of a request, of at most so many bytes, sent within so many seconds.

    Raises:
        HTTPException: it is larger, slower or empty.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(413, f"the photo has more than {most // 10**6} MB")
    except TimeoutError as error:
        raise HTTPException(408, f"the photo took more than {seconds:g} s to arrive") from error
    if not body:
        raise HTTPException(422, "there is no photo; send its file as the body")
    return bytes(body)
