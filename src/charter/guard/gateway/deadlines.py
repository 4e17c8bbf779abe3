"""uvicorn's HTTP protocol with what it lacks: deadlines for a request's head, for its body and for a client that does not read; bounds for the head
and for the number of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from charter.guard.gateway.config import Limits
from charter.guard.gateway.wire import errors, strict
from charter.guard.gateway.wire.errors import GatewayError

_MOST_HEADERS = 128


def protocol(limits: Limits, turned_away: Callable[[str], None] = lambda code: None) -> type[HttpToolsProtocol]:
    """The protocol with these limits, for ``uvicorn.Config(http=...)``. ``turned_away`` hears the code of each error that no request tells of."""

    class WithDeadlines(_Deadlines):
        bounds = limits
        told = staticmethod(turned_away)

    return WithDeadlines


class _Deadlines(HttpToolsProtocol):
    bounds: Limits
    told: Callable[[str], None]

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._phase = "idle"
        self._head_bytes = 0
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self.bounds.connections:
            self._reject(GatewayError(503, "overloaded", "too many connections", retry_after_s=1))
            return
        self._arm(self.bounds.header_s, "the request's head took too long")

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        if self._phase == "idle":
            self._phase = "head"
            self._head_bytes = 0
            self._arm(self.bounds.header_s, "the request's head took too long")
        if self._phase == "head":
            self._head_bytes += len(data)
        super().data_received(data)
        if self._phase == "head" and (self._head_bytes > self.bounds.header_bytes or len(self.headers or ()) > _MOST_HEADERS):
            self._reject(GatewayError(431, "head_too_large", "the request's head is too large", retry=False))

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) > self.bounds.header_bytes or len(self.headers) > _MOST_HEADERS:
            self._phase = "done"
            self._reject(GatewayError(431, "head_too_large", "the request's head is too large", retry=False))
            return
        self._phase = "body"
        self._arm(self.bounds.body_s, "the request's body took too long")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._closed:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = "idle"
        self._disarm()
        if not self._closed:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Garbage instead of HTTP."""
        self._reject(GatewayError(400, "invalid_http", "this is not HTTP", retry=False))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self.bounds.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._read_on()
        super().resume_writing()

    def _read_on(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _arm(self, seconds: float, message: str) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._late, message)

    def _late(self, message: str) -> None:
        answered = self._phase == "body" and self.cycle is not None and self.cycle.response_complete
        if self._phase == "idle" or answered:  # nothing was asked, or it has its answer: there is nothing to say
            self.transport.close()
        else:
            self._reject(GatewayError(408, "request_timeout", message, retry=False))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _reject(self, error: GatewayError) -> None:
        """Answer, if no answer is under way, and close; whoever waits for the body learns that the client is gone."""
        self._disarm()
        if self._closed or self.transport.is_closing():
            return
        self._closed = True
        cycle = self.cycle
        busy = cycle is not None and not cycle.response_complete
        if not busy:  # before the answer: who has it may look at the count
            self.told(error.code)
        if not (busy and cycle.response_started):
            body = strict.write(errors.body(error, "openai", ""))
            head = f"HTTP/1.1 {error.status} Error\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode() + body)
        if busy:
            if not cycle.response_started:
                cast(dict[str, Any], cycle.scope)[errors.REJECTED] = error  # a key of our own in the scope
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
