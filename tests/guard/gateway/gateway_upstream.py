"""A model server that does as it is told, byte by byte: raw asyncio, so that it can also break HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from gateway_said import completion, events


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """The upstream's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def head(self, status: int = 200, content_type: str = "application/json", **headers: str) -> None:
        """A head whose body ends with the connection."""
        lines = [f"HTTP/1.1 {status} X", f"content-type: {content_type}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Until the gateway hangs up."""
        while await self.reader.read(1 << 16):
            pass

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Asked, Wire], Awaitable[None]]


@dataclass
class MockUpstream:
    """``script`` answers every request; ``cancelled`` counts answers that the gateway hung up on."""

    script: Script | None = None
    asked: list[Asked] = field(default_factory=list)
    cancelled: int = 0
    port: int = 0
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            asked = Asked(method, path, headers, body)
            self.asked.append(asked)
            await (self.script or says("Hello."))(asked, Wire(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.cancelled += 1
        finally:
            writer.close()


def answers(body: Any, status: int = 200, content_type: str = "application/json", **headers: str) -> Script:
    """A whole answer: JSON of ``body``, or the bytes themselves."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(asked: Asked, wire: Wire) -> None:
        await wire.head(status, content_type, content_length=str(len(raw)), **headers)
        await wire.send(raw)

    return script


def streams(*pieces: bytes, pause_s: float = 0.0, then: str = "close", content_type: str = "text/event-stream") -> Script:
    """Bytes of a stream, piece by piece. ``then``: close, reset or hang."""

    async def script(asked: Asked, wire: Wire) -> None:
        await wire.head(200, content_type)
        for piece in pieces:
            await wire.send(piece)
            if pause_s:
                await asyncio.sleep(pause_s)
        if then == "reset":
            await asyncio.sleep(0.05)
            wire.reset()
        elif then == "hang":
            await wire.gone()
            raise ConnectionResetError

    return script


def chunk(text: str | None = None, index: int = 0, finish: str | None = None, **delta: Any) -> bytes:
    told = {**({"content": text} if text is not None else {}), **delta}
    choices = [{"index": index, "delta": told, "finish_reason": finish}]
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}).encode()


def spoken(*texts: str, finish: str = "stop", end: bool = True) -> list[bytes]:
    """The events of a stream that says these pieces."""
    data = [chunk(role="assistant", content=""), *(chunk(text) for text in texts), chunk(finish=finish)]
    return [events(each, done=False) for each in data] + ([b"data: [DONE]\n\n"] if end else [])


def says(*texts: str, finish: str = "stop", **message: Any) -> Script:
    """Answers with these texts, as one reply: whole, or streamed text by text if that is asked for."""

    async def script(asked: Asked, wire: Wire) -> None:
        if asked.json.get("stream"):
            await streams(*spoken(*texts, finish=finish))(asked, wire)
        else:
            await answers(completion("".join(texts), finish=finish, **message))(asked, wire)

    return script
