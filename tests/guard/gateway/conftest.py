"""A gateway on loopback in front of a model server that does as it is told, and the official SDK as its client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from gateway_upstream import MockUpstream

from charter.guard.engine import Guard
from charter.guard.gateway import serve
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.record import Exchange
from charter.guard.policy import GuardPolicy

OPEN = GuardPolicy(name="open", unguarded=("input", "output"), media="allow")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def __call__(self, work: Any, timeout_s: float = 20.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


@dataclass
class Running:
    """A gateway that listens. ``told_so_far`` is what its sinks were told, in order; ``told`` waits until no request is in work.

    A client has the last byte of an answer before the gateway has told anybody of it, so a test that reads too early sees one account too few.
    """

    built: serve.Built
    server: serve.Server
    upstream: MockUpstream
    loop: Loop
    told_so_far: list[Exchange] = field(default_factory=list)
    clients: dict[str, openai.OpenAI] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def port(self) -> int:
        return self.server.port

    def client(self, **settings: Any) -> openai.OpenAI:
        """One for each way of setting it up: making one takes 50 ms."""
        if repr(settings) not in self.clients:
            given = {"api_key": "client-key", "max_retries": 0, "timeout": 20.0, **settings}
            self.clients[repr(settings)] = openai.OpenAI(base_url=f"{self.root}/v1", **given)
        return self.clients[repr(settings)]

    @property
    def told(self) -> list[Exchange]:
        """Never read this on the gateway's own loop: it waits."""
        return self._settled(0)

    def exchange(self, number: int = -1) -> Exchange:
        """What was told of a request; waits until none is in work."""
        return self._settled(max(number, 0) + 1)[number]

    def _settled(self, least: int, timeout_s: float = 10.0) -> list[Exchange]:
        end = time.monotonic() + timeout_s
        while (self.built.gateway.calls or len(self.told_so_far) < least) and time.monotonic() < end:
            time.sleep(0.005)
        return self.told_so_far


class Listener:
    def __init__(self, told: list[Exchange]) -> None:
        self.told = told

    def done(self, exchange: Exchange) -> None:
        self.told.append(exchange)


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


@pytest.fixture(scope="module")
def launch(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``launch(guard, **config)`` starts a gateway before a model server of its own; all are stopped at the module's end."""
    running: list[tuple[Running, asyncio.Future[None]]] = []

    def start(
        guard: Guard | None = None,
        *,
        audit: Any = None,
        mode: str = "off",
        keeps: dict[str, Any] | None = None,
        gate: Any = None,
        environ: dict[str, str] | None = None,
        **config: Any,
    ) -> Running:
        upstream = MockUpstream()
        loop(upstream.start())
        settings = {
            "listen": {"port": 0},
            "shutdown": {"announce_s": 0.0, "drain_s": 5.0},
            "audit": {"mode": mode, **(keeps or {})},
            "database": {"url": str(tmp_path_factory.mktemp("database") / "gateway.db")},
            **config,
            "upstream": {"url": upstream.url, **config.get("upstream", {})},
        }
        variables = {"OPENAI_API_KEY": "upstream-key"} if environ is None else environ
        built = serve.build(GatewayConfig.model_validate(settings), environ=variables, guards={"": guard or Guard(OPEN)})
        told: list[Exchange] = []
        services = built.gateway.services
        services.sinks, services.audit = (*services.sinks, Listener(told)), audit or services.audit
        if gate is not None:
            services.gate = gate
        server = serve.server(built)

        async def begin() -> asyncio.Future[None]:
            task = asyncio.ensure_future(server._serve(None))
            while not server.started:
                await asyncio.sleep(0.005)
                assert not task.done()
            return task

        found = Running(built, server, upstream, loop, told)
        running.append((found, loop(begin())))
        return found

    yield start
    for found, task in running:
        for client in found.clients.values():
            client.close()
        found.server.should_exit = True

        async def end(task: asyncio.Future[None] = task, found: Running = found) -> None:
            found.built.gateway.stop_all()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await found.upstream.stop()

        loop(end())


@pytest.fixture
def plain(launch: Any) -> Any:
    return launch
