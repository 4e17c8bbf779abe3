"""``POST /v1/safety/reports`` and ``/v1/safety/feedback``: users say what was wrong with an answer. The answer's text is looked up here, by the ids
that every answer carries (``x-request-id``, ``x-decision-id``, and the one in its body); what a report says of it is never believed."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charter.core.errors import InputError, StoreError
from charter.guard._workers import ExhaustedError, Workers, away
from charter.guard.gateway import ids
from charter.guard.gateway.config import ReviewConfig
from charter.guard.gateway.gate import Gate
from charter.guard.gateway.limits import Limiter
from charter.guard.gateway.reading import credential, read_body
from charter.guard.gateway.record import Exchange
from charter.guard.gateway.wire import errors, strict
from charter.guard.gateway.wire.errors import GatewayError
from charter.store.database import Database
from charter.store.reports import Filed, Report, file_report

#: A comment may be 2,000 characters of 12 bytes each, written as escapes.
MOST_BYTES = 64 << 10
#: How long a report may take to be kept. One that is kept later all the same is a duplicate when it is sent again.
_FILE_S = 5.0
Category = Literal[
    "hate", "harassment", "sexual", "child_safety", "violence", "self_harm", "illegal", "privacy", "misinformation", "jailbreak",
    "over_refusal", "appeal", "other",
]  # fmt: skip
RequestId = Annotated[str, msgspec.Meta(pattern=f"^{ids.NAME}$", description="x-request-id or x-decision-id of the answer")]
ResponseId = Annotated[
    str, msgspec.Meta(pattern=f"^{ids.NAME}$", description="id in the answer's body (chatcmpl-..., resp_..., msg_...), asked for with the same key")
]


class _About(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    response_id: ResponseId | None = None
    request_id: RequestId | None = None
    choice_index: Annotated[int, msgspec.Meta(ge=0, le=127)] = 0
    comment: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    reporter_ref: Annotated[str, msgspec.Meta(max_length=128, description="who reports, as you name them; kept as a hash")] = ""


class ReportBody(_About, forbid_unknown_fields=True, kw_only=True):
    """A report. Exactly one of ``response_id`` and ``request_id``."""

    category: Category
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class FeedbackBody(_About, forbid_unknown_fields=True, kw_only=True):
    """Thumbs. Exactly one of ``response_id`` and ``request_id``."""

    rating: Literal["up", "down"]


class _Filing:
    """See ``app.Working``."""

    def __init__(self) -> None:
        self.answered = self.stopped = False
        self.task = asyncio.current_task()

    def stop(self) -> None:
        self.stopped = True
        if self.task is not None:
            self.task.cancel()


class Safety:
    """The endpoints. ``refuse`` says why a request is turned away before its key is looked at (``Gateway.refusal``), ``calls`` are those in work;
    ``reported`` hears of every new report's category, ``told`` of every report and rating at its end."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        config: ReviewConfig,
        *,
        limiter: Limiter | None = None,
        reported: Callable[[str], None] | None = None,
        told: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._reported, self._told = reported, told
        self._threads = Workers("reports", 2)
        self.calls: set[Any] = set()
        self._database, self._gate, self._config = database, gate, config
        self._limiter = limiter or Limiter()
        self.refuse: Callable[[Any], GatewayError | None] = lambda scope: None

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/safety/reports", self._reports, methods=["POST"]),
            Route("/v1/safety/feedback", self._feedback, methods=["POST"]),
            Route("/v1/safety/openapi.json", self._openapi, methods=["GET"]),
        ]

    async def _reports(self, request: Request) -> Response:
        async def work(exchange: Exchange) -> Response:
            given = await self._read(request, exchange, ReportBody)
            comment = f"{given.reason}\n{given.comment}".strip()
            return await self._file(request, exchange.key, "report", given, given.category, comment)

        return await self._accounted(request, work)

    async def _feedback(self, request: Request) -> Response:
        async def work(exchange: Exchange) -> Response:
            given = await self._read(request, exchange, FeedbackBody)
            return await self._file(request, exchange.key, "feedback", given, given.rating, given.comment)

        return await self._accounted(request, work)

    async def _accounted(self, request: Request, work: Callable[[Exchange], Awaitable[Response]]) -> Response:
        """Counted like every other request: among those in work, which the end of the gateway ends too, and in metrics."""
        named = ids.request_id(dict(request.scope["headers"]).get(b"x-request-id"))
        exchange, filing, began_s = Exchange(named, ids.new(), "reports", time.time()), _Filing(), time.monotonic()
        self.calls.add(filing)
        try:
            answer = await work(exchange)
            exchange.outcome, exchange.status = "allowed", answer.status_code
            return answer
        except GatewayError as error:
            raise _ended(exchange, error) from None
        except asyncio.CancelledError:
            exchange.outcome = "disconnected"
            if filing.task is None or not filing.stopped:
                raise
            filing.task.uncancel()
            raise _ended(exchange, GatewayError(503, "shutting_down", "the gateway is shutting down", retry_after_s=1)) from None
        finally:
            self.calls.discard(filing)
            exchange.total_ms = (time.monotonic() - began_s) * 1000
            if self._told is not None:
                self._told(exchange)

    async def _read(self, request: Request, exchange: Exchange, kind: type[Any]) -> Any:
        """The body; the key's name goes into ``exchange``. Raises GatewayError."""
        refused = self.refuse(request.scope)
        if refused is not None:
            raise refused
        headers = dict(request.scope["headers"])
        ticket = await self._gate.admit(credential(headers), "reports")
        exchange.key = ticket.name
        self._count(f"key {ticket.name}", self._config.reports_per_minute)
        try:
            given = strict.read_object(await read_body(headers, request.receive, MOST_BYTES))
            index = given.get("choice_index")
            if isinstance(index, float) and index.is_integer():  # JSON has one kind of number: 3.0 is an integer
                given["choice_index"] = int(index)
            body = msgspec.convert(given, kind)
        except ConnectionAbortedError:
            late = request.scope.get(errors.REJECTED)
            raise late if isinstance(late, GatewayError) else GatewayError(400, "client_left", "the body did not come whole", retry=False) from None
        except strict.NotJsonError as error:
            raise GatewayError(400, "invalid_json", f"the body cannot be read: {error.kind}", retry=False) from None
        except msgspec.ValidationError as error:
            raise _invalid(_place(str(error), kind)) from None
        if (body.response_id is None) == (body.request_id is None):
            raise _invalid("response_id")
        return body

    def _count(self, name: str, per_minute: int) -> None:
        self._limiter.enter(name, per_minute, None)
        self._limiter.leave(name)

    async def _file(self, request: Request, key: str, kind: Literal["report", "feedback"], given: Any, category: str, comment: str) -> Response:
        reporter = hashlib.sha256(f"{key}\0{given.reporter_ref}".encode("utf-8", "replace")).hexdigest()
        self._count(f"reporter {reporter}", self._config.reports_per_reporter)
        idempotency = dict(request.scope["headers"]).get(b"idempotency-key", b"")
        row = Report(kind, given.response_id or given.request_id, given.choice_index, category, _plain(comment), reporter, key)
        keep_s = self._config.keep_days * 86_400
        once = hashlib.sha256(idempotency).hexdigest() if idempotency else ""
        file = functools.partial(file_report, self._database, row, keep_s=keep_s, idempotency=once)
        try:
            async with asyncio.timeout(_FILE_S):
                filed: Filed = await away(self._threads, file, _FILE_S)
        except InputError as error:
            raise GatewayError(409, "idempotency_conflict", error.message, retry=False) from None
        except (StoreError, TimeoutError, ExhaustedError):
            raise GatewayError(503, "reports_unavailable", "the report could not be kept", retry_after_s=5) from None
        if kind == "report" and not filed.duplicate and self._reported is not None:
            self._reported(category)
        return Response(strict.write({"report_id": filed.id, "duplicate": filed.duplicate}), 202, media_type="application/json")

    async def _openapi(self, request: Request) -> Response:
        return Response(strict.write(document()), media_type="application/json")


def _ended(exchange: Exchange, error: GatewayError) -> GatewayError:
    exchange.outcome, exchange.status, exchange.code = "unavailable" if error.status >= 500 else "rejected", error.status, error.code
    return error


def _invalid(place: str) -> GatewayError:
    what = "give exactly one of response_id and request_id" if place == "response_id" else "is missing, unknown or not as it should be"
    return GatewayError(400, "invalid_request", f"{place}: {what}; see /v1/safety/openapi.json", param=place, retry=False)


def _place(said: str, kind: type[Any]) -> str:
    """The field that a complaint is about, if it is one of ours: what a client wrote is not told back."""
    return next((name for name in kind.__struct_fields__ if f"`{name}`" in said or f"$.{name}`" in said), "the body")


def _plain(text: str) -> str:
    """Without what a database does not take."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def document() -> dict[str, Any]:
    """OpenAPI 3.1 of these endpoints."""
    (*_, report, feedback), components = msgspec.json.schema_components([ReportBody, FeedbackBody], ref_template="#/components/schemas/{name}")
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "object", "required": ["message", "code"]}}}
    filed = {
        "type": "object",
        "required": ["report_id", "duplicate"],
        "properties": {"report_id": {"type": "string"}, "duplicate": {"type": "boolean"}},
    }
    for schema in components.values():
        schema["oneOf"] = [_just("response_id"), _just("request_id")]
    answers = {
        "202": {"description": "taken", "content": {"application/json": {"schema": filed}}},
        **{
            str(status): {"description": said, "content": {"application/json": {"schema": error}}}
            for status, said in (
                (400, "not as it should be"), (401, "no key, or an unknown one"), (403, "not for this key"), (409, "idempotency key used before"),
                (413, "too large"), (415, "no JSON"), (429, "too many"), (503, "cannot be kept now"),
            )
        },
    }  # fmt: skip
    header = {"name": "idempotency-key", "in": "header", "required": False, "schema": {"type": "string"}}

    def path(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        return {"post": {"summary": summary, "parameters": [header], "requestBody": body, "responses": answers}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "Charter gateway: reports and feedback", "version": "1"},
        "paths": {"/v1/safety/reports": path("Report an answer", report), "/v1/safety/feedback": path("Rate an answer", feedback)},
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}, {}],
    }


def _just(name: str) -> dict[str, Any]:
    """An object in which this id, and not the other, is given."""
    other = "request_id" if name == "response_id" else "response_id"
    return {"required": [name], "properties": {name: {"type": "string"}, other: {"type": "null"}}}


CATEGORIES: tuple[str, ...] = get_args(Category)
