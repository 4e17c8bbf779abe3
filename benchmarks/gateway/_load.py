"""Requests at a server, timed: so many at a time, or so many a second whatever the server does. Raw sockets: the client costs little."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: A kept connection is not used again after so long: the gateway closes idle ones after 15 s.
IDLE_S = 10.0


@dataclass
class Took:
    """Milliseconds of the requests that went well, and what became of the others."""

    total_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    chunks: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def p(self, share: float, what: str = "total_ms") -> float:
        values = sorted(getattr(self, what))
        return round(values[min(len(values) - 1, int(share * len(values)))], 2) if values else float("nan")

    def summary(self) -> dict[str, object]:
        return {"n": len(self.total_ms), "p50_ms": self.p(0.5), "p99_ms": self.p(0.99), "failed": self.failed}


class Client:
    """One connection, kept alive."""

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname, parts.port, f"{parts.path}/chat/completions"
        self._key = f"authorization: Bearer {key}\r\n" if key else ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used_at = 0.0
        self.got = bytearray()  # of the last answer, also of one that broke off

    async def post(self, body: bytes, took: Took) -> bytes:
        """The answer's body. Counts it in ``took``: by status where it is not 200. A stream's first text is timed too."""
        began = time.perf_counter()
        if began - self._used_at > IDLE_S:
            self.close()  # the server may be closing it just now
        reader, writer = self._streams or await asyncio.open_connection(self._host, self._port, limit=1 << 22)
        self._streams = reader, writer
        head = f"POST {self._path} HTTP/1.1\r\nhost: localhost\r\n{self._key}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        told = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = told[9:12].decode()
        answer = self.got = bytearray()
        first = 0.0
        async for piece in _body(reader, told):
            answer += piece
            if not first and b'"content":"' in piece.replace(b'": "', b'":"').replace(b'"content":""', b""):
                first = time.perf_counter()
        self._used_at = time.perf_counter()
        if b"connection: close" in told:
            self.close()
        if status == "200":
            took.total_ms.append((time.perf_counter() - began) * 1000)
            took.chunks += answer.count(b"data: ")
            if first:
                took.first_ms.append((first - began) * 1000)
        else:
            code = re.search(rb'"code":\s*"(\w+)"', answer)
            name = f"{status} {code[1].decode() if code else ''}".strip()
            took.failed[name] = took.failed.get(name, 0) + 1
        return bytes(answer)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, head: bytes):
    if b"transfer-encoding: chunked" in head:
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return
    length = head.partition(b"content-length:")[2].partition(b"\r")[0]
    yield await reader.readexactly(int(length or 0))


def request(model: str, text: str, stream: bool = False) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **({"stream": True} if stream else {})}).encode()


async def closed(url: str, bodies: Sequence[bytes], at_once: int, key: str = "") -> Took:
    """All of ``bodies``, ``at_once`` at a time."""
    took, todo = Took(), iter(bodies)

    async def work() -> None:
        client = Client(url, key)
        for body in todo:
            await _kept(client, body, took)
        client.close()

    await asyncio.gather(*(work() for _ in range(at_once)))
    return took


async def opened(url: str, bodies: Sequence[bytes], per_second: float, key: str = "", seed: int = 0) -> Took:
    """All of ``bodies``, at random times, ``per_second`` on average, whether or not earlier ones are answered: waiting is not hidden."""
    took, rng, idle, tasks = Took(), random.Random(seed), [], []

    async def one(body: bytes) -> None:
        client = idle.pop() if idle else Client(url, key)
        await _kept(client, body, took)
        idle.append(client)

    for body in bodies:
        tasks.append(asyncio.create_task(one(body)))
        await asyncio.sleep(rng.expovariate(per_second))
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return took


async def _kept(client: Client, body: bytes, took: Took) -> None:
    try:
        await client.post(body, took)
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        took.failed[type(error).__name__] = took.failed.get(type(error).__name__, 0) + 1
        client.close()
