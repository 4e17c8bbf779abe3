"""``POST /v1/safety/reports`` and ``/v1/safety/feedback``: users say what was wrong with an answer. The answer's text is looked up here, by the ids
that every answer carries (``x-request-id``, ``x-decision-id``, and the one in its body); what a report says of it is never believed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charter.core.errors import InputError, StoreError
from charter.guard.gateway import ids
from charter.guard.gateway.config import ReviewConfig
from charter.guard.gateway.gate import Gate
from charter.guard.gateway.limits import Limiter
from charter.guard.gateway.reading import credential, read_body
from charter.guard.gateway.wire import strict
from charter.guard.gateway.wire.errors import GatewayError
from charter.store.database import Database
from charter.store.reports import Filed, Report, file_report

#: A comment may be 2,000 characters of 12 bytes each, written as escapes.
MOST_BYTES = 64 << 10
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


class Safety:
    """The endpoints. ``refuse`` says why a request is turned away before its key is looked at (``Gateway.refusal``);
    ``reported`` hears of every new report's category."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        config: ReviewConfig,
        *,
        limiter: Limiter | None = None,
        reported: Callable[[str], None] | None = None,
    ) -> None:
        self._reported = reported
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
        key, given = await self._read(request, ReportBody)
        comment = f"{given.reason}\n{given.comment}".strip()
        return await self._file(request, key, "report", given, given.category, comment)

    async def _feedback(self, request: Request) -> Response:
        key, given = await self._read(request, FeedbackBody)
        return await self._file(request, key, "feedback", given, given.rating, given.comment)

    async def _read(self, request: Request, kind: type[Any]) -> tuple[str, Any]:
        """The key's name and the body. Raises GatewayError."""
        refused = self.refuse(request.scope)
        if refused is not None:
            raise refused
        headers = dict(request.scope["headers"])
        ticket = await self._gate.admit(credential(headers), "reports")
        self._count(f"key {ticket.name}", self._config.reports_per_minute)
        try:
            given = strict.read_object(await read_body(headers, request.receive, MOST_BYTES))
            index = given.get("choice_index")
            if isinstance(index, float) and index.is_integer():  # JSON has one kind of number: 3.0 is an integer
                given["choice_index"] = int(index)
            body = msgspec.convert(given, kind)
        except ConnectionAbortedError:
            raise GatewayError(400, "client_left", "the body did not come whole", retry=False) from None
        except strict.NotJsonError as error:
            raise GatewayError(400, "invalid_json", f"the body cannot be read: {error.kind}", retry=False) from None
        except msgspec.ValidationError as error:
            raise _invalid(_place(str(error), kind)) from None
        if (body.response_id is None) == (body.request_id is None):
            raise _invalid("response_id")
        return ticket.name, body

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
        try:
            filed: Filed = await asyncio.to_thread(file_report, self._database, row, keep_s=keep_s, idempotency=once)
        except InputError as error:
            raise GatewayError(409, "idempotency_conflict", error.message, retry=False) from None
        except StoreError:
            raise GatewayError(503, "reports_unavailable", "the report could not be kept", retry_after_s=5) from None
        if kind == "report" and not filed.duplicate and self._reported is not None:
            self._reported(category)
        return Response(strict.write({"report_id": filed.id, "duplicate": filed.duplicate}), 202, media_type="application/json")

    async def _openapi(self, request: Request) -> Response:
        return Response(strict.write(document()), media_type="application/json")


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
