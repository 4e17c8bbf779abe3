"""One request without any socket: a client that may hang up at any moment, the pipeline, and a model server that says what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.guard.engine import Guard
from charter.guard.gateway.app import surfaces
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.gate import OpenGate
from charter.guard.gateway.pipeline import Call, Services
from charter.guard.gateway.record import Exchange
from charter.guard.gateway.upstream import UpstreamLostError


class Answered:
    """``pieces`` of a stream, then ``then``: end, lost (the model server breaks off) or hang; or one whole body."""

    status = 200

    def __init__(self, pieces: Sequence[bytes], then: str, is_stream: bool) -> None:
        self.headers: dict[str, str] = {}
        self._pieces, self._then, self.is_stream = list(pieces), then, is_stream

    async def piece(self) -> bytes:
        await asyncio.sleep(0.01)
        if self._pieces:
            return self._pieces.pop(0)
        if self._then == "lost":
            raise UpstreamLostError
        if self._then == "hang":
            await asyncio.Event().wait()
        return b""

    async def read(self) -> bytes:
        pieces = []
        while piece := await self.piece():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        pass


class Upstream:
    def __init__(self, pieces: Sequence[bytes], then: str = "end", *, is_stream: bool = True) -> None:
        self._given = pieces, then, is_stream

    async def send(self, *asked: Any) -> Any:
        return Answered(*self._given)


class Listener:
    def __init__(self) -> None:
        self.told: list[Exchange] = []

    def done(self, exchange: Exchange) -> None:
        self.told.append(exchange)


@dataclass
class Client:
    """What it got, and how it hangs up."""

    body: dict[str, Any]
    got: bytes = b""
    status: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: bool = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": json.dumps(self.body).encode()}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.got += message.get("body", b"")
        self.heard.set()


def call(
    client: Client, guard: Guard, upstream: Upstream, *, surface: str = "chat", audit: Any = None, sinks: Sequence[Any] = (), **config: Any
) -> Call:
    settings = GatewayConfig.model_validate({"audit": {"mode": "off"}, **config})
    services = Services(settings, {"": guard}, upstream, OpenGate(), audit=audit, sinks=tuple(sinks))  # type: ignore[arg-type]
    served = next(each for each in surfaces(settings) if each.name == surface)
    scope = {"type": "http", "method": "POST", "path": served.path, "headers": [(b"content-type", b"application/json")]}
    return Call(services, served, scope, client.receive, client.send)  # type: ignore[arg-type]
