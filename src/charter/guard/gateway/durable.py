"""What the audit log's writer has written, told to the event loop: all rows of a commit at once. A call into the loop for each row takes longer than
the row itself."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

_Heard = tuple[asyncio.Future[None], Future[Any]]


class Durable:
    """``wait`` for any event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[asyncio.AbstractEventLoop, list[_Heard]] = {}

    async def wait(self, written: Future[Any], limit_s: float) -> None:
        """Returns when ``written`` is done, and raises what it raises; TimeoutError after ``limit_s`` seconds. Who is cancelled, or waits no longer,
        cancels it."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(limit_s, _late, heard)
        written.add_done_callback(lambda done: self._tell(loop, heard, done))
        try:
            await heard
        finally:
            timer.cancel()
            written.cancel()  # which does nothing to what is done

    def _tell(self, loop: asyncio.AbstractEventLoop, heard: asyncio.Future[None], written: Future[Any]) -> None:
        with self._lock:
            waiting = self._told.get(loop)
            if waiting is not None:
                waiting.append((heard, written))
                return
            self._told[loop] = [(heard, written)]
        try:
            loop.call_soon_threadsafe(self._hear, loop)
        except RuntimeError:  # the loop has closed: nobody waits any more
            with self._lock:
                self._told.pop(loop, None)

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            told = self._told.pop(loop, [])
        for heard, written in told:
            if heard.done():
                continue
            if written.cancelled():
                heard.cancel()
            elif (error := written.exception()) is not None:
                heard.set_exception(error)
            else:
                heard.set_result(None)


def _late(heard: asyncio.Future[None]) -> None:
    if not heard.done():
        heard.set_exception(TimeoutError())
