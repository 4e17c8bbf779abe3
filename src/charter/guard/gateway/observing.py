"""Metrics and telemetry put in place: who is told, where Prometheus scrapes, and a port of its own for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import uvicorn
from starlette.routing import BaseRoute, Route

from charter.core.errors import CharterError
from charter.guard.engine import Guard
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.metrics import Metrics
from charter.guard.gateway.record import Sink
from charter.guard.gateway.telemetry import Telemetry


class Scrape:
    """The page that Prometheus reads, as an ASGI application."""

    def __init__(self, metrics: Metrics) -> None:
        self._app = metrics.app

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)


@dataclass(slots=True)
class Observed:
    """``routes`` are beside the API; empty where metrics have a port of their own, or are off."""

    metrics: Metrics | None
    sinks: tuple[Sink, ...]
    routes: list[BaseRoute] = field(default_factory=list)


def observed(config: GatewayConfig, guards: Mapping[str, Guard], endpoints: list[str], *, audit: str = "none") -> Observed:
    """``audit``: strict, relaxed or off (none: nobody said), for the metric that shows what runs."""
    telemetry: tuple[Sink, ...] = (Telemetry(version=_version()),) if config.telemetry else ()
    if not config.metrics.enabled:
        return Observed(None, telemetry)
    metrics = Metrics(endpoints, version=_version())
    for guard in guards.values():
        metrics.describe(guard.label, guard.policy.stream.mode, audit)
    routes: list[BaseRoute] = [Route("/metrics", Scrape(metrics), methods=["GET"])] if config.metrics.port is None else []
    return Observed(metrics, (metrics, *telemetry), routes)


class MetricsServer:
    """Metrics on a port that clients do not reach. Lives inside the gateway's own loop."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        scrape = uvicorn.Config(
            Scrape(metrics), host=host, port=port, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False
        )
        self._where, self._server = f"{host}:{port}", uvicorn.Server(scrape)
        self._loop: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Once started."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Raises CharterError if the port is taken."""
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        try:
            await self._server.startup()
        except SystemExit:
            raise CharterError(f"cannot listen on {self._where}", "metrics: {port: 0} takes a free port") from None
        self._loop = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        if self._loop is not None:
            self._server.should_exit = True
            await self._loop
            await self._server.shutdown()


def _version() -> str:
    try:
        return version("charter-align")
    except PackageNotFoundError:
        return "unknown"
