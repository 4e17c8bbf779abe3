"""Bytes on their way to the client, in the order in which they were put. The response begins with the first of them, so that an error before it can
still be told as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
#: Bytes that may wait for a slow client before the upstream is no longer read.
HIGH_BYTES = 1 << 18


class Outbox:
    """``headers`` is asked for the response's headers when the first byte is sent."""

    def __init__(self, send: Send, headers: Callable[[], list[tuple[bytes, bytes]]]) -> None:
        self.started = False
        #: What waits may not leave, or not yet: the audit log is waited for.
        self.barred = False
        self._send, self._headers = send, headers
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._busy = False
        self._emptied = asyncio.Event()

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)

    async def flush(self) -> None:
        """Send what waits. If somebody is at it already it will be sent too; then this waits only if there is too much of it."""
        while self._busy and self._bytes > HIGH_BYTES:
            self._emptied.clear()
            await self._emptied.wait()
        if self._busy or not self._waiting:
            return
        self._busy = True
        try:
            if not self.started:
                self.started = True
                await self._send({"type": "http.response.start", "status": 200, "headers": self._headers()})
            while self._waiting and not self.barred:
                data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
                self._waiting = []
                self._bytes = 0
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
        finally:
            self._busy = False
            self._emptied.set()

    async def idle(self) -> None:
        """Until everything is sent."""
        while self._busy:
            self._emptied.clear()
            await self._emptied.wait()
        await self.flush()

    async def end(self) -> None:
        await self.idle()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def forget(self) -> None:
        """Nothing of what waits will be sent."""
        self._waiting, self._bytes = [], 0
