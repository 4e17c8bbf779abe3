"""The gateway as an ASGI application: surfaces straight to the pipeline, everything small through Starlette, every other path 404."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from charter.core import registry
from charter.guard._workers import Workers, away
from charter.guard.gateway import ids
from charter.guard.gateway.config import GatewayConfig
from charter.guard.gateway.door import is_loopback
from charter.guard.gateway.local import LocalCall
from charter.guard.gateway.models import Models, Page
from charter.guard.gateway.pipeline import Call, Services
from charter.guard.gateway.reading import credential
from charter.guard.gateway.record import Exchange
from charter.guard.gateway.surfaces._surface import Local, Surface
from charter.guard.gateway.wire import errors, strict
from charter.guard.gateway.wire.errors import GatewayError

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
log = logging.getLogger("charter.gateway")
#: What is still to be written when the gateway ends gets this long: the process must not outlive the time that it is given (deploy/).
_CLOSE_S = 6.0


class Working(Protocol):
    """A request in work. ``answered``: it waits only for its accounts."""

    answered: bool

    def stop(self) -> None:
        """Answer with an error now."""
        ...


def surfaces(config: GatewayConfig | None = None) -> list[Surface | Local]:
    """Every surface that has a file, as the configuration wants it."""
    found = [module.surface for module in registry.siblings("charter.guard.gateway.surfaces") if hasattr(module, "surface")]
    return [surface.configured(config or GatewayConfig()) if hasattr(surface, "configured") else surface for surface in found]


class Gateway:
    """``routes``: further endpoints (reports, metrics). ``ready``: says '' or why the gateway is not ready. ``closers`` are
    called when it has stopped, in a thread that is given up after some seconds. ``local_only``: keyless on loopback, so
    requests must be addressed to this machine by name: a page in a browser cannot reach it through a name of its own."""

    def __init__(
        self,
        services: Services,
        *,
        routes: Sequence[BaseRoute] = (),
        ready: Sequence[Callable[[], Awaitable[str]]] = (),
        closers: Sequence[Callable[[], None]] = (),
        local_only: bool = False,
        served: Sequence[Surface | Local] | None = None,
    ) -> None:
        self.services = services
        self.draining = False
        self.calls: set[Working] = set()
        self._ready = ready
        self._closers = closers
        self._local_only = local_only
        self._listed = Models(lambda: services.upstream)
        every = surfaces(services.config) if served is None else served
        self._surfaces = {surface.path: (LocalCall if isinstance(surface, Local) else Call, cast(Surface, surface)) for surface in every}
        own = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._models),
        ]
        self._shell = Starlette(
            routes=[*own, *routes], exception_handlers={HTTPException: self._http_error, GatewayError: self._told, Exception: self._broken}
        )

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        send = self._last_if_draining(send)
        served = self._surfaces.get(scope["path"])
        if served is None or scope["method"] != "POST":
            with contextlib.suppress(Exception):  # answered and logged by _broken; the server would log its message, which may hold text
                await self._shell(scope, receive, send)
            return
        kind, surface = served
        call = kind(self.services, surface, scope, receive, send)
        self.calls.add(call)
        try:
            await call.run(self.refusal(scope))
        finally:
            self.calls.discard(call)

    def _last_if_draining(self, send: Send) -> Send:
        """Once the end is announced, clients are told with every answer to open no further request on its connection: what they send there as the
        port closes would be lost."""

        async def told(message: Message) -> None:
            if self.draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return told

    def stop_all(self) -> None:
        """Whatever is still in work ends with an error now."""
        for call in list(self.calls):
            call.stop()

    def refusal(self, scope: Message) -> GatewayError | None:
        """Why a request is turned away before its key is looked at."""
        most = self.services.config.limits.requests
        # a call whose answer is out may still wait for its closing row: a disk that is slow for a moment must not turn clients away
        if len(self.calls) > most and sum(not call.answered for call in self.calls) > most:
            return GatewayError(503, "overloaded", "too many requests are in work", retry_after_s=1)
        if self._local_only and not is_loopback(_host(scope).removeprefix("[").removesuffix("]")):
            return GatewayError(403, "host_not_allowed", "without keys the gateway answers only to localhost", retry=False)
        return None

    async def _lifespan(self, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        await receive()
        await self.services.upstream.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.services.upstream.close()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _close(self) -> None:
        def work() -> None:
            for close in self._closers:
                try:
                    close()
                except Exception as error:
                    log.error("the end is not in order: %s", type(error).__name__)

        try:
            async with asyncio.timeout(_CLOSE_S):
                await away(Workers("closing", 1), work, _CLOSE_S)
        except TimeoutError:
            log.error("what was still to be written could not be written within %g s: the database does not answer", _CLOSE_S)

    async def _healthz(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        reasons = ["shutting down"] if self.draining else []
        for check in self._ready:
            try:
                reasons += [reason] if (reason := await check()) else []
            except Exception as error:
                reasons.append(type(error).__name__)
        return _json({"status": "ready" if not reasons else "not ready", "reasons": reasons}, 503 if reasons else 200)

    async def _models(self, request: Request) -> Response:
        """What the upstream serves, by name."""
        headers = dict(request.scope["headers"])
        try:
            if (refused := self.refusal(request.scope)) is not None:
                raise refused
            ticket = await self.services.gate.admit(credential(headers), "models")
        except GatewayError as error:
            self.services.turned_away(error.code)
            raise
        try:
            name = request.path_params.get("name", "")
            if name and not all(
                part.isascii() and part.replace("-", "").replace("_", "").replace(".", "").replace(":", "").isalnum() for part in name.split("/")
            ):
                raise GatewayError(404, "model_not_found", "there is no such model", param="model")
            found = await self._listed(name, Page.asked(request.query_params, headers))
        finally:
            ticket.leave(Exchange(ids.request_id(headers.get(b"x-request-id")), ids.new(), "models", time.time(), key=ticket.name))
        return _json(found, headers={name.decode(): value.decode() for name, value in ticket.headers})

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        headers: Mapping[str, str] = getattr(error, "headers", None) or {}
        if status == 404 and request.scope["path"] in self._surfaces:  # the shell serves all but their POST
            status, headers = 405, {"allow": "POST"}
        self.services.turned_away("method_not_allowed" if status == 405 else "unsupported_endpoint")
        if status == 405:
            allowed = [(b"allow", value.encode()) for name, value in headers.items() if name.lower() == "allow"]
            return self._error(
                request, GatewayError(405, "method_not_allowed", "this path is not served with this method", retry=False, headers=allowed)
            )
        return self._error(
            request, GatewayError(404, "unsupported_endpoint", "this path is not served: no rail reads what it would carry", retry=False)
        )

    async def _told(self, request: Request, error: Exception) -> Response:
        return self._error(request, error if isinstance(error, GatewayError) else GatewayError(500, "internal_error", "the gateway failed"))

    async def _broken(self, request: Request, error: Exception) -> Response:
        log.error("%s failed: %s", request.scope["path"][:80].encode("ascii", "backslashreplace").decode(), type(error).__name__)
        return self._error(request, GatewayError(500, "internal_error", "the gateway failed", retry=False))

    @staticmethod
    def _error(request: Request, error: GatewayError) -> Response:
        named = ids.request_id(dict(request.scope["headers"]).get(b"x-request-id"))
        headers = {"x-request-id": named, **{name.decode(): value.decode() for name, value in error.all_headers()}}
        return _json(errors.body(error, "openai", named), error.status, headers)


def _host(scope: Message) -> str:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    return host if host.endswith("]") else host.rpartition(":")[0] if ":" in host else host


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(strict.write(value), status, headers, "application/json")
